(ns crunch.stats
  "The statistics of one metric at one station. Runs on any Clojure.")

(defn percentile
  "Between the two nearest ranks, linearly, as spreadsheets do."
  [sorted rank]
  (let [hundredths (* rank (dec (count sorted)))
        place      (quot hundredths 100)
        rest       (rem hundredths 100)
        below      (nth sorted place)
        above      (nth sorted (if (pos? rest) (inc place) place))]
    (+ below (* (- above below) (/ rest 100.0)))))

(defn summary
  "What is said of at least one value. Percentiles stand beside the rest, as `:p50` and the like."
  [{:keys [percentiles iqr]} values]
  (let [sorted   (vec (sort values))
        first-q  (percentile sorted 25)
        third-q  (percentile sorted 75)
        reach    (* iqr (- third-q first-q))
        outlier? #(or (< % (- first-q reach)) (> % (+ third-q reach)))]
    (into {:count    (count sorted)
           :min      (first sorted)
           :max      (peek sorted)
           :mean     (/ (reduce + sorted) (count sorted))
           :outliers (filterv outlier? sorted)}
          (map (fn [rank] [(keyword (str "p" rank)) (percentile sorted rank)]))
          percentiles)))
