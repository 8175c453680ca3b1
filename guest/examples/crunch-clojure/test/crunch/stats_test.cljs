(ns crunch.stats-test
  (:require [clojure.test :refer [deftest is]]
            [crunch.stats :refer [summary]]
            [handler :refer [crunch]]))

(defn- of [& values]
  (summary {:percentiles [0 50 100] :iqr 1.5} values))

(deftest percentiles-lie-between-the-nearest-ranks
  (is (= {:p0 1 :p50 2.5 :p100 4} (select-keys (of 4 1 3 2) [:p0 :p50 :p100])))
  (is (= {:p0 7 :p50 7 :p100 7} (select-keys (of 7) [:p0 :p50 :p100]))))

(deftest only-what-lies-far-outside-the-middle-half-is-an-outlier
  (is (= [-30 40] (:outliers (of 1 2 2 3 2 40 -30))))
  (is (empty? (:outliers (of 1 1 1)))))

(deftest an-event-without-any-reading-is-a-failure
  (let [problem (try (crunch {:Records []} {:config {:percentiles [50] :outliers {:iqr 1.5}}})
                     (catch :default problem problem))]
    (is (= {:kind "NoReadings"} (ex-data problem)))))
