(ns crunchbox.json
  "JSON as Clojure's data, with keywords for keys, and back."
  (:require ["crunchbox:clojure" :as runtime]))

(defn parse
  "The data that a JSON text says. Throws what `JSON.parse` throws."
  [text]
  (runtime/read (js/JSON.parse text)))

(defn text
  "Data as one JSON text."
  [data]
  (js/JSON.stringify (runtime/write data)))
