(ns handler
  (:require [crunchbox.core :refer [defhandler]]
            [crunchbox.log :as log]))

(defn- mean [numbers]
  (/ (reduce + numbers) (count numbers)))

(defhandler summarise
  "Summarises the readings of one station."
  [{:keys [station readings]} {:keys [config]}]
  (when (empty? readings)
    (throw (ex-info (str "no readings from " station) {:kind "NoReadings"})))
  (log/info "summarised" {:count (count readings)})
  {:station station
   :unit    (:unit config)
   :count   (count readings)
   :mean    (mean readings)
   :max     (apply max readings)})
