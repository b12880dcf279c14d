#include "outbox/settle.h"

#include <utility>

#include "base/error.h"

namespace once::outbox {
namespace {

engine::Change change_of(engine::OutboxChange&& outbox) {
  engine::Change change;
  change.outbox = std::move(outbox);
  // Somebody waits for it, and what is delivered can be swept.
  change.from_reserve = true;
  return change;
}

}  // namespace

Result<void> settle(Store::Impl& store, Token token, std::span<const std::uint64_t> sequences,
                    const Decide& decide, Durability durability) {
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  bool owned = false;
  auto updated = store.engine->update_outbox(
      Store::Impl::relay_key(), sequences,
      [&](const engine::Current& current) {
        // As for every reservation: a lease that has lapsed holds until somebody takes over.
        owned = current.record && current.record->status == Status::in_progress &&
                current.record->token == token;
        return owned ? change_of(decide(current.events, current.now)) : engine::Change{};
      },
      durability);
  if (!updated) return updated;
  if (owned) return {};
  return fail(ErrorCode::fenced,
              "token {} has no right to deliver events any more: another relay took over, and "
              "delivers again what was not noted as delivered; nothing was changed",
              token.value);
}

Result<void> edit(Store::Impl& store, std::span<const std::uint64_t> sequences,
                  const Decide& decide) {
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  auto updated = store.engine->update_outbox(
      Store::Impl::relay_key(), sequences,
      [&](const engine::Current& current) {
        return change_of(decide(current.events, current.now));
      },
      Durability::synced);
  if (!updated) return updated;
  ++store.outbox_edits;
  store.waiters.notify(Store::Impl::relay_key());
  return {};
}

Result<void> visit_events(engine::Reading& reading, std::span<const std::uint64_t> left,
                          std::uint64_t after, const engine::EventVisitor& visit) {
  return reading.events(left, after, [&](std::uint64_t sequence, const Result<Event>& event) {
    if (event) return visit(sequence, event);
    return visit(sequence,
                 fail(event.error().code,
                      "the event with sequence {} cannot be read, and is passed over: {}; keep it "
                      "for a version of Once that reads it, or remove it for good: once outbox "
                      "drop STORE --sequence {}",
                      sequence, event.error().message, sequence));
  });
}

}  // namespace once::outbox
