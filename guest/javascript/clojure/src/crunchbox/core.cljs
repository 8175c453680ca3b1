(ns crunchbox.core
  "What a function in Clojure is made of.")

(defn defhandler
  "Defines the function's handler, as `defn` defines a function:

      (defhandler crunch \"What it does.\" [event {:keys [config]}] …)

  `event` is the event as Clojure's data, with keywords for keys. The context has :config, :request-id, :function-name,
  :channel, :release, :trace-id, :tenant-id, :remaining-ms (a function), :event-text (the event as it came), and
  :lambda (the context as JavaScript sees it). The result becomes JSON; a promise is awaited. An `ex-info` with :kind
  fails with that kind.

  The build turns it into `defn`, so it stands at the top level of a namespace, once."
  [& _]
  (throw (js/Error. "`defhandler` stands at the top level of a namespace")))
