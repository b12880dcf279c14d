// The mixed load: one operation after the other, each told of before and after.
#include <fmt/format.h>

#include <charconv>
#include <stdexcept>
#include <vector>

#include "worker.h"

namespace once::crash {
namespace {

constexpr std::uint64_t keys_a_life = 15;
constexpr Duration keep = std::chrono::hours(24);

std::int64_t number_of(const std::optional<Bytes>& text) {
  std::int64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

}  // namespace

Load::Load(Worker& worker, unsigned thread)
    : worker_(worker), thread_(thread), random_(hash_of("load", worker.task.seed + thread)) {}

Durability Load::durability() {
  return pick(2) == 0 ? Durability::synced : Durability::buffered;
}

Key Load::shared_key(std::string_view kind) {
  return key_of(kind, std::to_string(worker_.task.life * keys_a_life + pick(2 * keys_a_life)));
}

std::string Load::own_id(unsigned number) const {
  return fmt::format("{}-{}-{}", worker_.task.life, thread_, number);
}

void Load::step() {
  const std::uint64_t what = pick(100);
  if (what < 25) return pay();
  if (what < 50) return move();
  if (what < 62) return batch();
  if (what < 80) return hand(key_of("hand", own_id(hands_++)));
  if (what < 90 && worker_.task.life > 0) {
    // What the life before left behind.
    return hand(key_of("hand", fmt::format("{}-{}-{}", worker_.task.life - 1, thread_, pick(5))));
  }
  if (what < 95) return publish();
  if (what < 98) return brief();
  look();
}

template <class Call>
bool Load::ask(std::string_view verb, const Key& key, Token token, std::string note, Call&& call) {
  Message message{.kind = "try",
                  .verb = std::string(verb),
                  .key = key.to_string(),
                  .token = token.value,
                  .note = std::move(note)};
  Worker::say(message);
  auto answer = call();
  message.kind = answer ? "ok" : "err";
  if (!answer) message.note = to_string(answer.error().code);
  Worker::say(message);
  if (!answer) Worker::bad(key, message.verb, answer.error());
  return answer.has_value();
}

Result<Bytes> Load::pay_work(const Key& key, const Reservation& reservation) const {
  const Token token = reservation.token;
  Worker::say({.kind = "ok",
               .verb = "granted",
               .key = key.to_string(),
               .token = token.value,
               .attempt = reservation.attempt});
  switch (fate_of(key, token)) {
    case Fate::failure: {
      const Outcome failure = failure_of(key, token);
      return std::unexpected(work_failed(failure.code, failure.message));
    }
    case Fate::retryable:
      return std::unexpected(work_retryable("the line is busy"));
    case Fate::exception:
      throw std::runtime_error("the work threw");
    case Fate::unknown:
      worker_.effect(key, token);
      return std::unexpected(work_unknown("the other side did not answer"));
    case Fate::success:
      worker_.effect(key, token);
      return bytes_of(key, token);
  }
  return Bytes();
}

void Load::pay() {
  const Key key = shared_key("pay");
  Token ran;
  const ExecuteOptions options{.retention = keep,
                               .failure_retention = keep,
                               .on_abandon = on_abandon_of(key),
                               .wait = Duration(pick(2) * 30),
                               .durability = durability()};
  const auto work = [&](const Reservation& reservation) {
    ran = reservation.token;
    return pay_work(key, reservation);
  };
  Message message{.kind = "try", .verb = "execute", .key = key.to_string()};
  Worker::say(message);
  try {
    const auto done = worker_.store->execute(key, work, options);
    message.kind = done ? "ok" : "err";
    if (done) {
      message.token = done->provenance().token.value;
      message.attempt = done->replayed() ? 0 : 1;
      message.note = digest_of(done->value());
      if (done->replayed() && worker_.task.sabotage == Sabotage::again) {
        worker_.effect(key, done->provenance().token);
      }
      if (done->replayed() != (ran == Token())) Worker::bad(key, "replayed says the wrong thing");
      return Worker::say(message);
    }
    message.token = done.error().code == ErrorCode::work_failed ? ran.value : 0;
    message.note = to_string(done.error().code);
    Worker::say(message);
    if (done.error().code == ErrorCode::in_doubt) return resolve(key);
    const ErrorCode code = done.error().code;
    const bool foreseen = code == ErrorCode::busy || code == ErrorCode::work_failed ||
                          code == ErrorCode::work_retryable || code == ErrorCode::work_unknown;
    if (!foreseen) Worker::bad(key, "execute", done.error());
  } catch (const std::runtime_error&) {
    message.kind = "err";
    message.note = "exception";
    Worker::say(message);
  }
}

void Load::check_sum(const Key& key, Transaction& transaction) {
  std::int64_t sum = 0;
  auto scanned = transaction.scan("account/", "account0", [&](ByteView, ByteView value) {
    sum += number_of(Bytes(value));
    return true;
  });
  if (!scanned) return Worker::bad(key, "scan", scanned.error());
  if (sum != accounts * balance_at_start) {
    Worker::bad(key, fmt::format("a transaction saw {} in all accounts together", sum));
  }
}

Result<Bytes> Load::move_work(const Key& key, Transaction& transaction) {
  const int from = static_cast<int>(pick(accounts));
  const int to = (from + 1 + static_cast<int>(pick(accounts - 1))) % accounts;
  const auto amount = static_cast<std::int64_t>(1 + pick(300));
  if (pick(6) == 0) check_sum(key, transaction);
  if (pick(20) == 0) return std::unexpected(work_retryable("not now"));
  auto source = transaction.get(account(from));
  if (!source) return std::unexpected(source.error());
  auto target = transaction.get(account(to));
  if (!target) return std::unexpected(target.error());
  if (number_of(*source) < amount) {
    return std::unexpected(work_failed("insufficient", key.to_string()));
  }
  const std::string nonce = fmt::format("{}#{:016x}", key.to_string(), random_());
  const Bytes outcome = fmt::format("{} {} {} {} ", from, to, amount, nonce) +
                        filler(amount > 0 ? 1 : 0, pick(8) == 0 ? pick(20'000) : 0);
  auto put = transaction.put(account(from), std::to_string(number_of(*source) - amount));
  if (put) put = transaction.put(account(to), std::to_string(number_of(*target) + amount));
  if (put) put = transaction.put("trace/" + key.id, nonce);
  if (put && pick(8) == 0) put = transaction.erase("trace/" + key.id);
  if (put && pick(8) == 0) put = transaction.save_checkpoint("moved", nonce);
  if (put) {
    put = transaction.publish({.id = nonce,
                               .aggregate_type = "account",
                               .aggregate_id = std::to_string(from),
                               .type = "moved",
                               .payload = outcome});
  }
  if (!put) return std::unexpected(put.error());
  return outcome;
}

void Load::move() {
  const Key key = shared_key("move");
  Message message{.kind = "try", .verb = "transact", .key = key.to_string()};
  Worker::say(message);
  const TransactOptions options{
      .retention = keep, .failure_retention = keep, .durability = durability()};
  const auto done = worker_.store->transact(
      key, [&](Transaction& transaction) { return move_work(key, transaction); }, options);
  message.kind = done ? "ok" : "err";
  if (done) {
    message.token = done->provenance().token.value;
    message.attempt = done->replayed() ? 0 : 1;
    message.note = digest_of(done->value());
  } else {
    message.note = to_string(done.error().code);
  }
  Worker::say(message);
  if (done || done.error().code == ErrorCode::work_failed) return;
  if (done.error().code != ErrorCode::work_retryable) Worker::bad(key, "transact", done.error());
}

void Load::batch() {
  const Key key = key_of("batch", own_id(batches_++));
  const std::size_t count = 2 + pick(5);
  std::vector<ReserveRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back({.key = member_of(key, i), .options = {.retention = keep}});
  }
  Message message{.kind = "try",
                  .verb = "reserve_many",
                  .key = key.to_string(),
                  .attempt = static_cast<std::uint32_t>(count)};
  Worker::say(message);
  auto answers = worker_.store->reserve_many(requests, durability());
  if (!answers) return Worker::bad(key, "reserve_many", answers.error());
  std::vector<Reservation> reservations;
  for (const auto& answer : *answers) {
    if (!answer) return Worker::bad(key, "reserve_many", answer.error());
    if (!std::holds_alternative<Reservation>(*answer)) {
      return Worker::bad(key, "reserve_many replayed what nobody did");
    }
    reservations.push_back(std::get<Reservation>(*answer));
    message.note += fmt::format("{} ", reservations.back().token.value);
  }
  message.kind = "ok";
  Worker::say(message);
  if (pick(5) != 0) complete_batch(key, reservations);
}

void Load::complete_batch(const Key& key, const std::vector<Reservation>& reservations) {
  const Durability durable = durability();
  Message message{.kind = "try",
                  .verb = "complete_many",
                  .key = key.to_string(),
                  .attempt = static_cast<std::uint32_t>(reservations.size())};
  Worker::say(message);
  if (worker_.task.sabotage == Sabotage::early) {
    message.kind = "ok";
    Worker::say(message);
  }
  std::vector<CompleteRequest> requests;
  for (const Reservation& reservation : reservations) {
    requests.push_back(
        {.reservation = reservation, .outcome = success_of(reservation.key, reservation.token)});
  }
  if (worker_.task.sabotage == Sabotage::split) {
    for (const CompleteRequest& request : requests) {
      (void)worker_.store->complete(request.reservation, request.outcome);
    }
  } else {
    auto answers = worker_.store->complete_many(requests, durable);
    if (!answers) return Worker::bad(key, "complete_many", answers.error());
    for (const auto& answer : *answers) {
      if (!answer) return Worker::bad(key, "complete_many", answer.error());
    }
  }
  message.kind = "ok";
  Worker::say(message);
}

void Load::hand(const Key& key) {
  const ReserveOptions options{
      .retention = keep, .on_abandon = on_abandon_of(key), .durability = durability()};
  Message message{.kind = "try", .verb = "reserve", .key = key.to_string()};
  Worker::say(message);
  auto answer = worker_.store->reserve(key, options);
  message.kind = answer ? "ok" : "err";
  if (!answer) {
    message.note = to_string(answer.error().code);
    Worker::say(message);
    if (answer.error().code == ErrorCode::in_doubt && pick(2) == 0) resolve(key);
    return;
  }
  if (const auto* replay = std::get_if<Replay>(&*answer)) {
    message.token = replay->provenance.token.value;
    message.note = "replay";
    return Worker::say(message);
  }
  const auto& reservation = std::get<Reservation>(*answer);
  message.token = reservation.token.value;
  message.attempt = reservation.attempt;
  message.note = reservation.taken_over ? "taken_over" : "granted";
  Worker::say(message);
  steps(reservation);
}

void Load::steps(const Reservation& reservation) {
  Store& store = *worker_.store;
  const Key& key = reservation.key;
  for (std::uint64_t i = pick(4); i > 0; --i) {
    const Durability durable = durability();
    if (pick(4) == 0) {
      ask("renew", key, reservation.token, "",
          [&] { return store.renew(reservation, std::chrono::minutes(10), durable); });
      continue;
    }
    const std::string name = fmt::format("step-{}", pick(4));
    ask("checkpoint", key, reservation.token, name,
        [&] { return store.save_checkpoint(reservation, name, key.id + name, durable); });
  }
  if (pick(10) == 0) {
    Reservation stale = reservation;
    --stale.token.value;
    auto done = store.complete(stale, Outcome::success("stale"));
    if (done || done.error().code != ErrorCode::fenced) {
      Worker::bad(key, "a completion with another token was not fenced");
    }
  }
  finish(reservation);
}

void Load::finish(const Reservation& reservation) {
  Store& store = *worker_.store;
  const Key& key = reservation.key;
  const Token token = reservation.token;
  const Durability durable = durability();
  const std::uint64_t how = pick(100);
  if (how < 50) {
    if (worker_.task.sabotage == Sabotage::early) {
      Worker::say(
          {.kind = "try", .verb = "complete", .key = key.to_string(), .token = token.value});
      Worker::say({.kind = "ok", .verb = "complete", .key = key.to_string(), .token = token.value});
    }
    const auto complete = [&] {
      return store.complete(reservation, success_of(key, token), {.durability = durable});
    };
    const bool done = ask("complete", key, token, "", complete);
    if (done && pick(4) == 0) ask("complete", key, token, "", complete);
    if (done && pick(4) == 0) ask("remove", key, token, "", [&] { return store.remove(key); });
  } else if (how < 65) {
    const Outcome failure = failure_of(key, token);
    ask("fail", key, token, "", [&] {
      return store.fail(reservation, failure.code, failure.message, {.durability = durable});
    });
  } else if (how < 80) {
    const bool released = ask("release", key, token, "",
                              [&] { return store.release(reservation, "later", durable); });
    if (released && pick(2) == 0) hand(key);
  } else if (how < 85) {
    ask("doubt", key, token, "", [&] { return store.doubt(reservation, "unsure", durable); });
  }
  // Else it is left: whoever comes later finds the owner dead.
}

void Load::resolve(const Key& key) {
  constexpr Verdict verdicts[] = {Verdict::success, Verdict::failure, Verdict::rerun};
  constexpr std::string_view names[] = {"success", "failure", "rerun"};
  const std::uint64_t which = pick(3);
  Message message{
      .kind = "try", .verb = "resolve", .key = key.to_string(), .note = std::string(names[which])};
  Worker::say(message);
  auto done = worker_.store->resolve(key, verdicts[which], resolved_outcome(key, verdicts[which]));
  message.kind = done ? "ok" : "err";
  if (!done) message.note = to_string(done.error().code);
  Worker::say(message);
  if (done || key.operation != "hand") return;  // another thread may have been faster
  Worker::bad(key, "resolve", done.error());
}

void Load::publish() {
  const Key key = key_of("event", own_id(published_++));
  Message message{.kind = "try", .verb = "publish", .key = key.to_string()};
  Worker::say(message);
  auto sequence = worker_.store->publish({.id = key.to_string(),
                                          .aggregate_type = "test",
                                          .type = "told",
                                          .payload = bytes_of(key, Token()).substr(0, 100'000)},
                                         durability());
  if (!sequence) return Worker::bad(key, "publish", sequence.error());
  message.kind = "ok";
  message.token = *sequence;
  Worker::say(message);
}

void Load::brief() {
  // Gone at once, for sweep and compaction to clear away. Nobody looks at it again.
  const Key key = key_of("brief", own_id(static_cast<unsigned>(pick(1'000'000))));
  const Duration retention(1 + pick(20));
  ask("brief", key, Token(), "", [&] {
    return worker_.store->execute(key, [] { return filler(1, 500); },
                                  {.retention = retention, .durability = durability()});
  });
}

void Load::look() {
  Store& store = *worker_.store;
  const Key key = shared_key("pay");
  auto found = store.find(key);
  if (!found) return Worker::bad(key, "find", found.error());
  auto saved = store.load_checkpoints(key);
  if (!saved) return Worker::bad(key, "load_checkpoints", saved.error());
  auto data = store.data(account(0));
  if (!data) return Worker::bad(key, "data", data.error());
  if (pick(4) != 0) return;
  auto stats = store.stats();
  if (!stats) return Worker::bad(key, "stats", stats.error());
  auto scanned =
      store.scan({.status = Status::in_doubt}, [](const Key&, const Record&) { return true; });
  if (!scanned) Worker::bad(key, "scan", scanned.error());
}

}  // namespace once::crash
