#include "acquire.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "../progress.h"
#include "../provenance.h"
#include "../text.h"
#include "base/error.h"
#include "base/process.h"
#include "base/saturating.h"
#include "once/clock.h"
#include "once/coordinator.h"
#include "opening.h"
#include "patient_store.h"
#include "waiting.h"

namespace once::supervise {
namespace {

// For the store itself, whatever the wait for the key: others hold it for milliseconds each.
constexpr Duration least_open_patience = std::chrono::seconds(5);

// Of a key, in the bar.
constexpr std::size_t shown_bytes = 30;

// What one look at the store gave: an answer, or the record of who is at work.
using Look = std::variant<Acquired, std::optional<Record>>;

Result<Look> look(const Where& where, const Key& key, const ReserveOptions& options,
                  const Signals& signals, Duration open_until) {
  const auto clock = system_clock();
  std::optional<int> interrupted;
  auto store = open_patiently(where.path, where.make, [&] {
    interrupted = signals.next_ending();
    return interrupted.has_value() || clock->since_boot() >= open_until;
  });
  if (interrupted && !store) return Look(Acquired(Interrupted{.signal = *interrupted}));
  if (!store) return pass(store);
  auto answer = store->reserve(key, options);
  if (answer) {
    if (auto* replay = std::get_if<Replay>(&*answer)) return Look(Acquired(std::move(*replay)));
    return Look(Acquired(std::get<Reservation>(std::move(*answer))));
  }
  const ErrorCode why = answer.error().code;
  if (why != ErrorCode::busy && why != ErrorCode::outcome_omitted) return pass(answer);
  if (why == ErrorCode::outcome_omitted) {
    auto tombstone = store->find(key);
    if (!tombstone) return pass(tombstone);
    if (!*tombstone || !(*tombstone)->outcome) return pass(answer);
    return Look(Acquired(
        Replay{.outcome = *(*tombstone)->outcome,
               .provenance = tool::provenance_of((*tombstone)->record, system_clock()->wall())}));
  }
  // Nobody but its coordinator, however long one waits.
  auto transaction = find_transaction(*store, key);
  if (!transaction) return pass(transaction);
  if (*transaction) return pass(answer);
  auto found = store->find(key);
  if (!found) return pass(found);
  return Look(*found ? std::optional(found->value().record) : std::nullopt);
}

// Whether the reservation that was seen is over. Looks as a reader does, who holds nobody up; what
// cannot be read now may be read the next time.
bool has_finished(const std::string& where, const Key& key, const Record& seen) {
  Options options = basic_options();
  options.create_if_missing = false;
  options.read_only = true;
  auto store = open_store(where, options);
  if (!store) return false;
  const auto found = store->find(key);
  if (!found) return false;
  return !*found || (*found)->record.status != Status::in_progress ||
         (*found)->record.token != seen.token;
}

std::string who_holds(const std::optional<Record>& record) {
  if (!record) return "somebody";
  const std::string name = command_name(record->holder.pid);
  return to_string(record->holder) + (name.empty() ? "" : fmt::format(" ({})", name));
}

Error still_busy(const Key& key, const std::string& who, Duration waited) {
  return {.code = ErrorCode::busy,
          .message = fmt::format("key '{}' is held by {}, which did not finish within {} ms; try "
                                 "again later, or give it longer with --wait",
                                 key.to_string(), who, waited.count())};
}

}  // namespace

Result<Acquired> acquire(const Where& where, const Key& key, ReserveOptions options,
                         const Signals& signals) {
  const auto clock = system_clock();
  const Duration start = clock->since_boot();
  const Duration wait = std::exchange(options.wait, Duration{0});
  const Duration open_until = after(start, std::max(wait, least_open_patience));
  tool::ProgressBar bar(
      fmt::format("waiting for key '{}'", tool::preview(key.to_string(), shown_bytes)));
  for (;;) {
    // Several that are woken at once take turns here: one of them gets the key, the others see its
    // process and wait for that.
    auto seen = look(where, key, options, signals, open_until);
    if (!seen) return pass(seen);
    if (auto* answer = std::get_if<Acquired>(&*seen)) return std::move(*answer);
    const auto& record = std::get<std::optional<Record>>(*seen);
    const Duration waited = clock->since_boot() - start;
    const std::string who = who_holds(record);
    if (waited >= wait) return std::unexpected(still_busy(key, who, waited));
    bar.tell(0, 0, "held by " + who);
    if (!record || record->status != Status::in_progress) continue;  // it finished in between
    const auto finished = [&] { return has_finished(where.path, key, *record); };
    if (const auto signal = wait_for_holder(*record, wait - waited, signals, finished)) {
      return Acquired(Interrupted{.signal = *signal});
    }
  }
}

}  // namespace once::supervise
