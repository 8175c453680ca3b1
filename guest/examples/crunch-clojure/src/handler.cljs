(ns handler
  "Crunches readings of measuring stations: SNS events in, statistics per station and metric out."
  (:require [crunch.stats :refer [summary]]
            [crunchbox.core :refer [defhandler]]
            [crunchbox.json :as json]
            [crunchbox.log :as log]))

(defn- reading [{:keys [station metric value] :as candidate}]
  (when-not (and (string? station) (string? metric) (number? value))
    (throw (ex-info "expected a station, a metric and a value" {:got candidate})))
  {:station station :metric metric :value value})

(defn- parse
  "A message holds one reading or a list of them."
  [message]
  (let [parsed (json/parse message)]
    (mapv reading (if (sequential? parsed) parsed [parsed]))))

(defn- readings [{{:keys [Message MessageId TopicArn]} :Sns}]
  (try
    (parse Message)
    (catch :default problem
      (log/warn (str "skipped " MessageId ": " (ex-message problem)) {:topic TopicArn})
      nil)))

(defn- settings [{:keys [percentiles outliers]}]
  (when-let [rank (first (remove #(<= 0 % 100) percentiles))]
    (throw (ex-info (str "percentiles: expected 0 to 100, got " rank) {:kind "ConfigError"})))
  {:percentiles (sort (distinct percentiles)) :iqr (:iqr outliers)})

(defhandler crunch
  "Summarises all readings of an event, and skips what is not one."
  [{:keys [Records]} {:keys [config]}]
  (let [settings (settings config)
        found    (mapcat readings Records)]
    (when (empty? found)
      (throw (ex-info "no record held a reading" {:kind "NoReadings"})))
    {:stations
     (update-vals (group-by :station found)
                  (fn [of-station]
                    (update-vals (group-by :metric of-station)
                                 #(summary settings (map :value %)))))}))
