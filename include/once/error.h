// Errors: what every function that can fail returns, and what to do about it.
//
//   auto paid = store.execute("charge:42", charge);
//   if (!paid && paid.error().code == once::ErrorCode::busy) retry_later();
//
// No exception leaves the library, with one exception that is the caller's own: what the work
// given to execute() or transact() throws is passed on, after the store was left as the policy
// says. The message names the key or the place and says what to do; the code is for programs.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace once {

enum class ErrorCode : std::uint8_t {
  // The request is at fault. Nothing was changed.
  invalid_argument = 1,  // malformed: empty id, broken %-escape, bad JSON
  limit_exceeded = 2,    // longer or larger than a limit
  unsupported = 3,       // not possible for this store, e.g. writing when opened to read

  // The ledger's answers.
  mismatch = 10,         // the key was used for a different question (fingerprint differs)
  busy = 11,             // somebody holds the key and did not finish within the wait
  in_doubt = 12,         // the owner died after it may have acted; needs resolve()
  fenced = 13,           // the reservation is not yours any more (or never was)
  outcome_omitted = 14,  // it was done, but the outcome was too large to keep
  not_found = 15,        // there is no such record
  conflict = 16,         // the transaction met another one; transact() retries by itself
  already_done = 20,     // there is an outcome already, and Conflict::reject was asked for
  cancelled = 21,        // the wait was given up because its std::stop_token said so
  retry_refused = 22,    // is_safe_to_retry() refused to have the work run again

  // What work says of its own failure; see the functions below.
  work_failed = 30,       // definite: it did not and will not happen. Kept, and replayed
  work_not_started = 31,  // nothing was attempted. The key is released
  work_retryable = 32,    // failed without effect; may be tried again. The key is released
  work_unknown = 33,      // it may have happened. The key goes in doubt
  wrong_type = 34,        // the stored outcome does not decode as the type asked for
  work_timed_out = 35,    // ran out of time, and has no effect. Kept as a timeout, and replayed
  work_killed = 36,       // was ended from outside, without effect. Kept as killed, and replayed

  // The store.
  store_locked = 50,   // another process (or this one) has the store open
  not_a_store = 51,    // the path holds something else
  newer_format = 52,   // written by a newer version of Once
  permission = 53,     // the file system does not let this user
  no_space = 54,       // the disk is full; nothing was written
  damaged = 55,        // bytes on disk are not what was written
  io = 56,             // the operating system failed to read or write
  unknown = 57,        // a write failed half-way: it may be there after reopening
  poisoned = 58,       // an earlier write failed; reads go on, reopen before writing
  forked = 59,         // this process is a fork of the one that opened the store
  store_missing = 60,  // there is no store at the path
  closed = 61,         // the store was closed
};

// The code's name as it appears in messages and in JSON, e.g. "in_doubt". Never null.
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

// A value: copy it, keep it. Thread-safe as any value is.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::invalid_argument;
  std::string message{};       // for people: what, where, and what to do
  std::string failure_code{};  // only for work_failed: the work's own code, kept with the outcome
  bool replayed = false;       // true when this is a stored failure handed out again
  // Only for mismatch, and when both questions came with digests of their fields: the names of
  // those that differ, were added or are missing, in byte order. The message says which is which.
  std::vector<std::string> differing_fields{};
};

// The result of everything that can fail.
template <class T>
using Result = std::expected<T, Error>;

// For work to return from execute(); they decide what becomes of the key.
//   return std::unexpected(once::work_failed("declined", "the card was declined"));

// Definite failure: stored with the failure retention, and replayed to whoever asks again.
Error work_failed(std::string failure_code, std::string message);
// Nothing was attempted: the key is released at once.
Error work_not_started(std::string message);
// Failed, and nobody will notice if it is tried again: released, the attempt counted.
Error work_retryable(std::string message);
// It may have happened (a timeout of the other side, say): the key goes in doubt.
Error work_unknown(std::string message);
// It ran out of time, or was ended from outside, and it is known not to have happened: kept as an
// outcome of its own kind (OutcomeKind::timeout, killed), as long as a definite failure is.
Error work_timed_out(std::string message);
Error work_killed(std::string message);

}  // namespace once
