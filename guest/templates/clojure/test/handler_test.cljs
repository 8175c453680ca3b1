(ns handler-test
  (:require [clojure.test :refer [deftest is]]
            [handler :refer [summarise]]))

(def context {:config {:unit "mm"}})

(deftest readings-are-summarised
  (is (= {:station "oslo" :unit "mm" :count 2 :mean 4.5 :max 6}
         (summarise {:station "oslo" :readings [3 6]} context))))

(deftest no-readings-are-a-failure
  (let [problem (try (summarise {:station "oslo" :readings []} context)
                     (catch :default problem problem))]
    (is (= "no readings from oslo" (ex-message problem)))
    (is (= {:kind "NoReadings"} (ex-data problem)))))
