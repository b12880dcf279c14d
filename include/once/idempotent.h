// idempotent(): wraps a callable, so that it runs once for each set of arguments.
//
//   auto charge = once::idempotent(store, "charge", [&](const std::string& order, int cents) {
//     return gateway.charge(order, cents);
//   });
//   auto receipt = charge("order-42", 1999);     // Result<Executed<Receipt>>
//   auto again = charge("order-42", 1999);       // replayed
//
// The key is `tenant/NAME/args:` and 32 hexadecimal digits: the first half of SHA-256 over the
// arguments as they are written, each with its kind and its length. The kinds are null, bool,
// integer, floating point, text, and all others; so 1, 1.0, true and "1" are four arguments. What
// counts is the value of what the call is given and its kind, not its exact type, and not the type
// of the parameter that it is converted to: 1 and 1L are the same, and so are 0.5f and 0.5, but not
// 0.1f and 0.1, which are two numbers; a null is one whatever its type could have held. Lists of
// arguments that differ have different keys, as far as those are told apart by what their codecs
// write: two types of your own that write the same bytes are not.
//
// Arguments that are equal must be written alike; for JSON once/json_codec.h sees to that (RFC
// 8785), and 0.0 and -0.0 are. Changing an argument's kind, or how its codec writes it, changes the
// keys; changing what the callable does, does not: give it another name then.
//
// Where an executor tries again (FailurePolicy::attempts), each try gets the arguments as they were
// given. So they are handed over as const where the callable takes them so, and copied where it
// takes them by value. One that takes `T&` gets the caller's own object, each time. A parameter
// that can only be given away (a `T&&`, a move-only type by value) gets a copy each time; if there
// is none to be had, the first try takes the argument, and further tries do not call the callable
// but fail as the first did.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
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
// As a double, which every float is.
template <std::floating_point T>
  requires Number<T>
struct Argument<T> {
  static std::optional<Bytes> write(T value) {
    const double number = static_cast<double>(value);
    return Codec<double>::encode(number == 0 ? 0 : number);
  }
};
template <class T>
struct Argument<std::optional<T>> {
  static std::optional<Bytes> write(const std::optional<T>& value) {
    return value ? Argument<T>::write(*value) : std::nullopt;
  }
};
template <>
struct Argument<ByteView> {
  static std::optional<Bytes> write(ByteView value) { return Bytes(value); }
};
template <>
struct Argument<const char*> {
  static std::optional<Bytes> write(const char* value) { return Bytes(value); }
};

namespace internal {

// `argument` as it is, or, if the call was handed something to be taken, a copy of it.
template <class Given, class T>
decltype(auto) lend(T& argument) {
  if constexpr (std::is_lvalue_reference_v<Given>) {
    return static_cast<T&>(argument);
  } else if constexpr (std::is_copy_constructible_v<T>) {
    return T(std::as_const(argument));
  } else {
    return std::move(argument);
  }
}

template <class Given>
inline constexpr bool can_be_lent =
    std::is_lvalue_reference_v<Given> || std::is_copy_constructible_v<Given>;

// Calls `call` the first time, and fails as that did each further time.
template <class Call>
class FirstTry {
 public:
  explicit FirstTry(Call call) : call_(std::move(call)) {}

  std::invoke_result_t<Call&> operator()() {
    using R = std::invoke_result_t<Call&>;
    if (thrown_) std::rethrow_exception(thrown_);
    try {
      if constexpr (WorkType<std::remove_cvref_t<R>>::fallible) {
        if (error_) return std::unexpected(*error_);
        R result = call_();
        if (!result) error_ = result.error();
        return result;
      } else {
        return call_();
      }
    } catch (...) {
      thrown_ = std::current_exception();
      throw;
    }
  }

 private:
  Call call_;
  std::optional<Error> error_{};
  std::exception_ptr thrown_{};
};

}  // namespace internal

// What keeps arguments apart that are written alike. A part of keys: never change a number.
enum class ArgumentKind : std::uint8_t {
  null = 0,  // whatever has no bytes
  boolean = 1,
  integer = 2,
  floating = 3,
  text = 4,  // Bytes, ByteView, const char*
  other = 5,
};

template <class T>
inline constexpr ArgumentKind argument_kind = std::same_as<T, bool>    ? ArgumentKind::boolean
                                              : std::integral<T>       ? ArgumentKind::integer
                                              : std::floating_point<T> ? ArgumentKind::floating
                                                                       : ArgumentKind::other;
template <>
inline constexpr ArgumentKind argument_kind<Bytes> = ArgumentKind::text;
template <>
inline constexpr ArgumentKind argument_kind<ByteView> = ArgumentKind::text;
template <>
inline constexpr ArgumentKind argument_kind<const char*> = ArgumentKind::text;
template <class T>
inline constexpr ArgumentKind argument_kind<std::optional<T>> = argument_kind<T>;

struct WrittenArgument {
  ArgumentKind kind = ArgumentKind::other;  // that of its type; without bytes it is null
  std::optional<Bytes> bytes{};
};

// The key that stands for a call of `name` with these arguments.
[[nodiscard]] Key key_of_arguments(std::string_view tenant, std::string_view name,
                                   std::span<const WrittenArgument> arguments);

struct IdempotentOptions {
  std::string tenant{};
  std::optional<ExecuteOptions> execute{};  // nullopt: ExecutorOptions::defaults
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
    if constexpr (std::is_invocable_v<F&, const std::remove_reference_t<Args>&...>) {
      return executor_->execute(
          called, [&] { return std::invoke(callable_, std::as_const(args)...); },
          execute_options());
    } else {
      const auto call = [&] { return std::invoke(callable_, internal::lend<Args>(args)...); };
      if constexpr ((internal::can_be_lent<Args> && ...)) {
        return executor_->execute(called, call, execute_options());
      } else {
        return executor_->execute(called, internal::FirstTry(call), execute_options());
      }
    }
  }

  // The key of a call with these arguments.
  template <class... Args>
  [[nodiscard]] Key key(const Args&... args) const {
    const std::vector<WrittenArgument> written{
        {.kind = argument_kind<std::decay_t<const Args&>>,
         .bytes = Argument<std::decay_t<const Args&>>::write(args)}...};
    return key_of_arguments(options_.tenant, name_, written);
  }

 private:
  [[nodiscard]] const ExecuteOptions& execute_options() const {
    return options_.execute ? *options_.execute : executor_->options().defaults;
  }

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
// With the hooks and the defaults of an executor.
template <class F>
[[nodiscard]] auto idempotent(Executor& executor, std::string name, F callable,
                              IdempotentOptions options = {}) {
  return Idempotent<F>(executor, std::move(name), std::move(callable), std::move(options));
}

}  // namespace once
