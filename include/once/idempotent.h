// idempotent(): wraps a callable, so that it runs once for each set of arguments.
//
//   auto charge = once::idempotent(store, "charge", [&](const std::string& order, int cents) {
//     return gateway.charge(order, cents);
//   });
//   auto receipt = charge("order-42", 1999);     // Result<Executed<Receipt>>
//   auto again = charge("order-42", 1999);       // replayed
//
// The key is `tenant/NAME/args:` and 32 hexadecimal digits: the first half of SHA-256 over the
// arguments as their codecs write them, each with its length and whether it is null, so that no two
// lists of arguments meet. So arguments that are equal must be written alike; for JSON
// once/json_codec.h sees to that (RFC 8785). Changing a parameter's type changes the keys; changing
// what the callable does, does not: give it another name then.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "once/execute.h"

namespace once {

// How an argument is written into a key: as its Codec does. Specialise it for types of which equal
// values may be encoded differently, or that have no codec.
//   static std::optional<Bytes> write(const T& value);
template <class T>
struct Argument {
  static std::optional<Bytes> write(const T& value) { return Codec<T>::encode(value); }
};
template <>
struct Argument<ByteView> {
  static std::optional<Bytes> write(ByteView value) { return Bytes(value); }
};
template <>
struct Argument<const char*> {
  static std::optional<Bytes> write(const char* value) { return Bytes(value); }
};

// The key that stands for a call of `name` with these arguments.
[[nodiscard]] Key key_of_arguments(std::string_view tenant, std::string_view name,
                                   std::span<const std::optional<Bytes>> arguments);

struct IdempotentOptions {
  std::string tenant{};
  ExecuteOptions execute{};
};

// What idempotent() gives. May be called from many threads at once if the callable may; may not
// outlive the store or executor.
template <class F>
class Idempotent {
 public:
  Idempotent(Executor& executor, std::string name, F callable, IdempotentOptions options)
      : executor_(&executor),
        name_(std::move(name)),
        callable_(std::move(callable)),
        options_(std::move(options)) {}
  Idempotent(Store& store, std::string name, F callable, IdempotentOptions options)
      : own_(std::make_shared<Executor>(store)),
        executor_(own_.get()),
        name_(std::move(name)),
        callable_(std::move(callable)),
        options_(std::move(options)) {}

  // Result<Executed<T>>, as Executor::execute() gives it.
  template <class... Args>
  auto operator()(Args&&... args) {
    const Key called = key(args...);
    return executor_->execute(
        called, [&] { return std::invoke(callable_, std::forward<Args>(args)...); },
        options_.execute);
  }

  // The key of a call with these arguments.
  template <class... Args>
  [[nodiscard]] Key key(const Args&... args) const {
    const std::vector<std::optional<Bytes>> written{
        Argument<std::decay_t<const Args&>>::write(args)...};
    return key_of_arguments(options_.tenant, name_, written);
  }

 private:
  std::shared_ptr<Executor> own_{};  // when there was none to share
  Executor* executor_;
  const std::string name_;
  F callable_;
  const IdempotentOptions options_;
};

template <class F>
[[nodiscard]] auto idempotent(Store& store, std::string name, F callable,
                              IdempotentOptions options = {}) {
  return Idempotent<F>(store, std::move(name), std::move(callable), std::move(options));
}
// With the hooks of an executor.
template <class F>
[[nodiscard]] auto idempotent(Executor& executor, std::string name, F callable,
                              IdempotentOptions options = {}) {
  return Idempotent<F>(executor, std::move(name), std::move(callable), std::move(options));
}

}  // namespace once
