;; A guest that answers an event with itself, and does what a test puts in the place of $attack when the event is a number.
;;
;; What stands in braces is replaced: the memory, how it is given out, the attack, what runs after the response, and
;; whatever else the component is to have. $attack returns the address of a result, as the contract has it in memory:
;; $answer makes one of `true` or `false`.
(component
  (import "crunchbox:function/types@0.1.0" (instance $types
    (type $f (record
      (field "kind" string) (field "message" string) (field "trace" (list string)) (field "details" (option string))))
    (export "failure" (type (eq $f)))))
  (alias export $types "failure" (type $failure))
  (import "crunchbox:function/log@0.1.0" (instance $log
    (type $l (enum "trace" "debug" "info" "warn" "error" "fatal"))
    (export "level" (type $level (eq $l)))
    (export "emit" (func
      (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
  (import "crunchbox:function/config@0.1.0" (instance $config
    (export "source" (func (param "path" (list string)) (result (option string))))))
  (import "wasi:config/store@0.2.0-rc.1" (instance $store
    (type $e (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $e)))
    (export "get" (func (param "key" string) (result (result (option string) (error $error)))))))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "subscribe-instant" (func (param "when" u64) (result (own $p))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $e))
    (alias outer 1 $pollable (type $p))
    (export "output-stream" (type $s (sub resource)))
    (type $r (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $refused (eq $r)))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $s)) (result (own $p))))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $s)) (param "contents" (list u8)) (result (result (error $refused)))))
    (export "[method]output-stream.write-zeroes"
      (func (param "self" (borrow $s)) (param "len" u64) (result (result (error $refused)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $stream (type $s))
    (export "get-stdout" (func (result (own $s))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (import "wasi:random/insecure@0.2.0" (instance $insecure
    (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))))

  (core module $heap
    {memory}
    (global $free (mut i32) (i32.const 1024))
    (func $take (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $free) (i32.shl (memory.size) (i32.const 16)))
        (then
          (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))
            (then unreachable))))
      (local.get $at))
    {allocate})
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "allocate" (core func $allocate))

  (core func $emit (canon lower (func $log "emit") (memory $memory)))
  (core func $source (canon lower (func $config "source") (memory $memory) (realloc $allocate)))
  (core func $key (canon lower (func $store "get") (memory $memory) (realloc $allocate)))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc $allocate)))
  (core func $at (canon lower (func $clock "subscribe-instant")))
  (core func $after (canon lower (func $clock "subscribe-duration")))
  (core func $watch (canon lower (func $streams "[method]output-stream.subscribe")))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $memory)))
  (core func $zeroes (canon lower (func $streams "[method]output-stream.write-zeroes") (memory $memory)))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $close (canon resource.drop $stream))
  (core func $exit (canon lower (func $exit "exit")))
  (core func $random (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $allocate)))
  (core func $insecure
    (canon lower (func $insecure "get-insecure-random-bytes") (memory $memory) (realloc $allocate)))
  (core instance $host
    (export "emit" (func $emit)) (export "source" (func $source)) (export "key" (func $key))
    (export "ready" (func $ready)) (export "block" (func $block)) (export "poll" (func $poll))
    (export "at" (func $at)) (export "after" (func $after))
    (export "watch" (func $watch)) (export "write" (func $write)) (export "zeroes" (func $zeroes))
    (export "stdout" (func $stdout)) (export "close" (func $close)) (export "exit" (func $exit))
    (export "random" (func $random)) (export "insecure" (func $insecure)))
  {beside}

  (core module $main
    (import "heap" "memory" (memory 0))
    (import "host" "emit" (func $emit (param $level i32) (param $at i32) (param $length i32) (param $fields i32) (param $count i32)))
    (import "host" "source" (func $source (param $path i32) (param $count i32) (param $result i32)))
    (import "host" "key" (func $key (param $at i32) (param $length i32) (param $result i32)))
    (import "host" "ready" (func $ready (param $pollable i32) (result i32)))
    (import "host" "block" (func $block (param $pollable i32)))
    (import "host" "poll" (func $poll (param $pollables i32) (param $count i32) (param $result i32)))
    (import "host" "at" (func $at (param $instant i64) (result i32)))
    (import "host" "after" (func $after (param $duration i64) (result i32)))
    (import "host" "watch" (func $watch (param $stream i32) (result i32)))
    (import "host" "write" (func $write (param $stream i32) (param $at i32) (param $length i32) (param $result i32)))
    (import "host" "zeroes" (func $zeroes (param $stream i32) (param $length i64) (param $result i32)))
    (import "host" "stdout" (func $stdout (result i32)))
    (import "host" "close" (func $close (param $stream i32)))
    (import "host" "exit" (func $exit (param $status i32)))
    (import "host" "random" (func $random (param $length i64) (param $result i32)))
    (import "host" "insecure" (func $insecure (param $length i64) (param $result i32)))
    (data (i32.const 64) "falsetrue")

    (func $answer (param $yes i32) (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (select (i32.const 69) (i32.const 64) (local.get $yes)))
      (i32.store (i32.const 8) (select (i32.const 4) (i32.const 5) (local.get $yes)))
      (i32.const 0))

    (func (export "handle") (param $event i32) (param $length i32) (result i32)
      (local $at i32) (local $number i32)
      (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 34))
        (then
          (i32.store (i32.const 0) (i32.const 0))
          (i32.store (i32.const 4) (local.get $event))
          (i32.store (i32.const 8) (local.get $length))
          (return (i32.const 0))))
      (loop $digits
        (local.set $number
          (i32.add
            (i32.mul (local.get $number) (i32.const 10))
            (i32.sub (i32.load8_u (i32.add (local.get $event) (local.get $at))) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $digits (i32.lt_u (local.get $at) (local.get $length))))
      (call $attack (local.get $number)))
    {after}
    {attack})
  (core instance $main (instantiate $main (with "heap" (instance $heap)) (with "host" (instance $host))))

  (type $handle (func (param "event" string) (result (result string (error $failure)))))
  (func $handle (type $handle)
    (canon lift (core func $main "handle")
      (memory $memory) (realloc $allocate) (post-return (core func $main "after"))))
  (instance $handler (export "failure" (type $failure)) (export "handle" (func $handle)))
  (export "crunchbox:function/handler@0.1.0" (instance $handler)))
