// What the worker that is killed and the checker that waits for it agree on: how keys are named,
// what each operation answers, and the lines in which the worker tells what it is about to do and
// what it was told is done.
//
// A line goes through a pipe in one write of less than PIPE_BUF bytes, so that it arrives whole or
// not at all, whenever the worker is killed:
//
//   KIND VERB KEY TOKEN ATTEMPT NOTE
//
//   try    about to be asked of the store: from here on it may have happened
//   ok     the store said that it is done: from here on it must stay done
//   err    the store refused; NOTE is the code
//   bad    the worker itself saw a promise broken; NOTE says which
//   phase  what the process as a whole is at; VERB is its name
//
// What an operation answers follows from its key and token, so that the checker knows every byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "once/key.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"
#include "once/reservation.h"

namespace once::crash {

inline constexpr int accounts = 8;
inline constexpr std::int64_t balance_at_start = 1000;

// What one piece of work does, decided by its key and token.
enum class Fate : std::uint8_t { success, failure, retryable, unknown, exception };

// How the worker breaks the promises on purpose, to show that the checker notices.
enum class Sabotage : std::uint8_t {
  none,
  early,  // says that a completion is done before the store was asked
  split,  // completes a batch one by one
  again,  // repeats the effect when the store replays
};

struct Message {
  std::string kind;
  std::string verb;
  std::string key{};
  std::uint64_t token = 0;
  std::uint32_t attempt = 0;
  std::string note{};
};

[[nodiscard]] std::string to_line(const Message& message);
// Nullopt when `line` is none.
[[nodiscard]] std::optional<Message> parse(std::string_view line);

// All keys of the load: of `kind` pay, move, hand, batch or brief.
[[nodiscard]] Key key_of(std::string_view kind, std::string_view id);
[[nodiscard]] Key member_of(const Key& batch, std::size_t index);

[[nodiscard]] std::uint64_t hash_of(std::string_view text, std::uint64_t number);
[[nodiscard]] OnAbandon on_abandon_of(const Key& key);
[[nodiscard]] Fate fate_of(const Key& key, Token token);
// Bytes that look like nothing else: empty ones, small ones, some of 100 KiB, few of over 1 MiB.
[[nodiscard]] Bytes bytes_of(const Key& key, Token token);
[[nodiscard]] Outcome success_of(const Key& key, Token token);
[[nodiscard]] Outcome failure_of(const Key& key, Token token);
// What resolve() decides.
[[nodiscard]] Outcome resolved_outcome(const Key& key, Verdict verdict);
[[nodiscard]] Bytes filler(std::uint64_t seed, std::size_t size);

[[nodiscard]] std::string account(int number);
// For comparing outcomes without sending them through the pipe.
[[nodiscard]] std::string digest_of(ByteView bytes);

}  // namespace once::crash
