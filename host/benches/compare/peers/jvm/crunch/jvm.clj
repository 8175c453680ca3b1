(ns crunch.jvm
  "A loop over Lambda's Runtime API on the JVM. The statistics are those of the example in Clojure, and the handler here
  is its handler in the words of the JVM."
  (:require [clojure.data.json :as json]
            [crunch.stats :refer [summary]])
  (:import (java.io InputStream)
           (java.net HttpURLConnection URL))
  (:gen-class))

(set! *warn-on-reflection* true)

(defn- reading [{:keys [station metric value] :as candidate}]
  (when-not (and (string? station) (string? metric) (number? value))
    (throw (ex-info "expected a station, a metric and a value" {:got candidate})))
  {:station station :metric metric :value (double value)})

(defn- parse [message]
  (let [parsed (json/read-str message :key-fn keyword)]
    (mapv reading (if (sequential? parsed) parsed [parsed]))))

(defn- readings [{{:keys [Message MessageId]} :Sns}]
  (try
    (parse Message)
    (catch Exception problem
      (println (str "skipped " MessageId ": " (ex-message problem)))
      nil)))

(defn- settings [{:keys [percentiles outliers]}]
  (when-let [rank (first (remove #(<= 0 % 100) percentiles))]
    (throw (ex-info (str "percentiles: expected 0 to 100, got " rank) {:kind "ConfigError"})))
  {:percentiles (sort (distinct percentiles)) :iqr (:iqr outliers)})

(defn- crunch [{:keys [Records]} config]
  (let [settings (settings config)
        found    (mapcat readings Records)]
    (when (empty? found)
      (throw (ex-info "no record held a reading" {:kind "NoReadings"})))
    {:stations
     (update-vals (group-by :station found)
                  (fn [of-station]
                    (update-vals (group-by :metric of-station)
                                 #(summary settings (map :value %)))))}))

(defn- open ^HttpURLConnection [path]
  (let [url (URL. (str "http://" (System/getenv "AWS_LAMBDA_RUNTIME_API") "/2018-06-01/runtime/invocation/" path))]
    (.openConnection url)))

(defn- text [^InputStream stream]
  (with-open [stream stream]
    (String. (.readAllBytes stream) "UTF-8")))

(defn- post [path value]
  (let [body       (.getBytes ^String (json/write-str value :escape-unicode false) "UTF-8")
        connection (open path)]
    ;; Not streamed: before it reuses a connection for a stream, the JVM waits a millisecond for a sign of its end.
    (.setDoOutput connection true)
    (with-open [out (.getOutputStream connection)]
      (.write out body))
    (text (.getInputStream connection))))

(defn- serve [config]
  (let [next-event (open "next")
        event      (text (.getInputStream next-event))
        id         (.getHeaderField next-event "Lambda-Runtime-Aws-Request-Id")
        [path answer]
        (try
          ["/response" (crunch (json/read-str event :key-fn keyword) config)]
          (catch Exception problem
            ["/error" {:errorType    (or (:kind (ex-data problem)) (.getName (class problem)))
                       :errorMessage (ex-message problem)}]))]
    (post (str id path) answer)))

(defn -main []
  (let [config (json/read-str (System/getenv "CRUNCH_CONFIG") :key-fn keyword)]
    (while true (serve config))))
