(ns crunchbox.log
  "Structured log lines: a message, and a map of fields that stay together in the line."
  (:require ["crunchbox:clojure" :as runtime]))

(defn debug
  ([message] (debug message nil))
  ([message fields] (runtime/log "debug" message fields)))

(defn info
  ([message] (info message nil))
  ([message fields] (runtime/log "info" message fields)))

(defn warn
  ([message] (warn message nil))
  ([message fields] (runtime/log "warn" message fields)))

(defn error
  ([message] (error message nil))
  ([message fields] (runtime/log "error" message fields)))
