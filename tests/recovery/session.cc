#include "recovery/session.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/place.h"
#include "recovery/quick_place.h"
#include "store/open_on.h"

namespace once::testing {

namespace {

constexpr std::uint32_t first_pid = 100;

std::string text_of(const Error& error) {
  return fmt::format("{}: {}", to_string(error.code), error.message);
}

template <class T>
Reply failed(const Result<T>& result) {
  Reply reply;
  reply.error = result.error().code;
  reply.message = result.error().message;
  reply.replayed = result.error().replayed;
  return reply;
}

Reply reply_of(const Result<void>& result) {
  return result ? Reply{} : failed(result);
}

Reply reply_of(const Result<ReserveAnswer>& answer) {
  if (!answer) return failed(answer);
  Reply reply;
  if (const auto* mine = std::get_if<Reservation>(&*answer)) {
    reply.token = mine->token;
    reply.attempt = mine->attempt;
    reply.lease_until = mine->lease_until;
    reply.taken_over = mine->taken_over;
  } else {
    const Replay& replay = std::get<Replay>(*answer);
    reply.replayed = true;
    reply.token = replay.provenance.token;
    reply.attempt = replay.provenance.attempt;
    reply.outcome = replay.outcome;
  }
  return reply;
}

using Value = std::optional<Bytes>;

template <class T>
void take_execution(Reply& reply, const Result<Executed<T>>& done) {
  if (!done) {
    reply.error = done.error().code;
    reply.message = done.error().message;
    reply.replayed = done.error().replayed;
    return;
  }
  reply.token = done->provenance().token;
  reply.attempt = done->provenance().attempt;
  reply.replayed = done->replayed();
  reply.outcome = Outcome::success(done->value());
}

Result<Value> result_of_work(const Request& request) {
  if (!request.work_error) return request.outcome.value;
  if (*request.work_error == ErrorCode::work_failed) {
    return std::unexpected(work_failed("declined", "no"));
  }
  return std::unexpected(Error{.code = *request.work_error, .message = "so says the work"});
}

Reply execute(Store& store, const Request& request) {
  Reply reply;
  const auto done = store.execute(request.key,
                                  [&](const Reservation& mine) {
                                    reply.worked = true;
                                    reply.token = mine.token;
                                    reply.attempt = mine.attempt;
                                    return result_of_work(request);
                                  },
                                  {.lease = request.lease,
                                   .heartbeat = false,
                                   .retention = request.retention,
                                   .failure_retention = request.failure_retention,
                                   .fingerprint = request.fingerprint,
                                   .on_abandon = request.on_abandon,
                                   .wait = Duration(0),
                                   .durability = request.durability});
  take_execution(reply, done);
  return reply;
}

Result<void> take_step(Transaction& tx, const Step& step, std::vector<Bytes>& read) {
  switch (step.kind) {
    case Step::Kind::get: {
      auto value = tx.get(step.key);
      if (!value) return pass(value);
      read.push_back(*value ? "+" + **value : Bytes("-"));
      return {};
    }
    case Step::Kind::scan:
      return tx.scan(step.key, step.value, [&](ByteView key, ByteView value) {
        read.push_back(Bytes(key) + "=" + Bytes(value));
        return true;
      });
    case Step::Kind::put:
      return tx.put(step.key, step.value);
    case Step::Kind::erase:
      return tx.erase(step.key);
    case Step::Kind::publish:
      return tx.publish({.id = step.key, .type = "transacted", .payload = step.value});
    case Step::Kind::save_checkpoint:
      return tx.save_checkpoint(step.key, step.value);
  }
  return {};
}

Reply transact(Store& store, const Request& request) {
  Reply reply;
  const auto done = store.transact(request.key,
                                   [&](Transaction& tx) -> Result<Value> {
                                     reply.read.clear();
                                     for (const Step& step : request.steps) {
                                       if (auto taken = take_step(tx, step, reply.read); !taken)
                                         return pass(taken);
                                     }
                                     return result_of_work(request);
                                   },
                                   {.retention = request.retention,
                                    .failure_retention = request.failure_retention,
                                    .fingerprint = request.fingerprint,
                                    .wait = Duration(0),
                                    .durability = request.durability});
  take_execution(reply, done);
  return reply;
}

ReserveOptions reserve_options(const Request& request) {
  return {.lease = request.lease,
          .retention = request.retention,
          .fingerprint = request.fingerprint,
          .on_abandon = request.on_abandon,
          .durability = request.durability};
}

CompleteOptions complete_options(const Request& request) {
  return {.retention = request.retention, .durability = request.durability};
}

Reservation reservation_of(const Request& request) {
  return {.key = request.key, .token = request.token};
}

Reply reserve_many(Store& store, const Request& request) {
  std::vector<ReserveRequest> requests;
  for (const Request& one : request.many) {
    requests.push_back({.key = one.key, .options = reserve_options(one)});
  }
  const auto answers = store.reserve_many(requests, request.durability);
  if (!answers) return failed(answers);
  Reply reply;
  for (const auto& answer : *answers) reply.many.push_back(reply_of(answer));
  return reply;
}

Reply complete_many(Store& store, const Request& request) {
  std::vector<CompleteRequest> requests;
  for (const Request& one : request.many) {
    requests.push_back({.reservation = reservation_of(one),
                        .outcome = one.outcome,
                        .options = complete_options(one)});
  }
  const auto answers = store.complete_many(requests, request.durability);
  if (!answers) return failed(answers);
  Reply reply;
  for (const auto& answer : *answers) reply.many.push_back(reply_of(answer));
  return reply;
}

Reply find(Store& store, const Request& request) {
  const auto found = store.find(request.key);
  if (!found) return failed(found);
  Reply reply;
  if (*found) {
    reply.yes = true;
    reply.record = (*found)->record;
    reply.outcome = (*found)->outcome;
  }
  return reply;
}

}  // namespace

Reply perform(Store& store, const Request& request) {
  const Reservation mine = reservation_of(request);
  switch (request.kind) {
    case Request::Kind::reserve:
      return reply_of(store.reserve(request.key, reserve_options(request)));
    case Request::Kind::complete:
      return reply_of(store.complete(mine, request.outcome, complete_options(request)));
    case Request::Kind::renew: {
      const auto renewed = store.renew(mine, request.lease, request.durability);
      if (!renewed) return failed(renewed);
      Reply reply;
      reply.token = renewed->token;
      reply.attempt = renewed->attempt;
      reply.lease_until = renewed->lease_until;
      return reply;
    }
    case Request::Kind::release:
      return reply_of(store.release(mine, request.name, request.durability));
    case Request::Kind::doubt:
      return reply_of(store.doubt(mine, request.name, request.durability));
    case Request::Kind::resolve:
      return reply_of(store.resolve(request.key, request.verdict, request.outcome));
    case Request::Kind::remove: {
      const auto removed = store.remove(request.key);
      if (!removed) return failed(removed);
      Reply reply;
      reply.yes = *removed;
      return reply;
    }
    case Request::Kind::save_checkpoint:
      return reply_of(store.save_checkpoint(mine, request.name, request.data, request.durability));
    case Request::Kind::execute:
      return execute(store, request);
    case Request::Kind::transact:
      return transact(store, request);
    case Request::Kind::publish: {
      const auto sequence = store.publish({.id = request.name,
                                           .aggregate_id = request.key.id,
                                           .type = "published",
                                           .payload = request.data},
                                          request.durability);
      if (!sequence) return failed(sequence);
      Reply reply;
      reply.sequence = *sequence;
      return reply;
    }
    case Request::Kind::reserve_many:
      return reserve_many(store, request);
    case Request::Kind::complete_many:
      return complete_many(store, request);
    case Request::Kind::find:
      return find(store, request);
    case Request::Kind::load_checkpoints: {
      const auto loaded = store.load_checkpoints(request.key);
      if (!loaded) return failed(loaded);
      Reply reply;
      reply.checkpoints = *loaded;
      return reply;
    }
    case Request::Kind::sweep: {
      const auto swept = store.sweep();
      return swept ? Reply{} : failed(swept);
    }
  }
  return {};
}

std::string Call::describe() const {
  if (kind == Kind::pass_time) return fmt::format("{} ms pass", by.count());
  if (kind == Kind::reopen) return "close and open again";
  return request.describe();
}

Session::Session(std::shared_ptr<SimulatedDevice> device, SessionState state,
                 const SessionOptions& options)
    : device_(std::move(device)), state_(std::move(state)), options_(options) {
  for (std::uint32_t i = 0; i < state_.boots; ++i) clock_->reboot();
  clock_->advance(state_.up);
  clock_->set_wall(state_.now);
}

Session::~Session() = default;

Result<void> Session::try_open(Ending ending) {
  drop();
  if (ending == Ending::power_cut) {
    clock_->reboot();
    ++state_.boots;
    state_.up = {};
  }
  const std::uint32_t self = first_pid + state_.lives++;
  auto processes = std::make_shared<SimulatedProcesses>(self);
  for (std::uint32_t pid = first_pid; pid < self; ++pid) {
    processes->set(pid, options_.earlier);
    state_.model.set_liveness(holder(pid), options_.earlier);
  }
  state_.model.set_self(holder(self));
  Options options;
  options.memory_budget = options_.memory_budget;
  options.clock = clock_;
  options.processes = processes;
  options.open_timeout_ms = Duration(0);
  options.read_only = options_.read_only;
  auto engine = engine::EmbeddedEngine::open(
      make_quick(engine::make_file_place("simulated.once", {.options = options, .device = device_}),
                 options_.with_options_file),
      options);
  if (!engine) return pass(engine);
  store_ = open_on(std::move(*engine), options);
  return {};
}

std::string Session::compare(Ending ending) {
  auto rows = read_rows(*store_);
  if (!rows) return "reading: " + text_of(rows.error());
  return state_.model.reopen(*rows, state_.now, ending);
}

std::string Session::open(Ending ending) {
  if (auto opened = try_open(ending); !opened) return "opening: " + text_of(opened.error());
  return compare(ending);
}

void Session::learn_tokens(const Request& request, const Reply& reply) {
  const bool granted = !reply.replayed && reply.token.value != 0;
  if (granted && (request.kind == Request::Kind::reserve || reply.worked)) {
    state_.tokens[request.key].push_back(reply.token);
  }
  if (request.kind == Request::Kind::reserve_many) {
    for (std::size_t i = 0; i < reply.many.size(); ++i) {
      const Reply& one = reply.many[i];
      if (!one.replayed && one.token.value != 0) {
        state_.tokens[request.many[i].key].push_back(one.token);
      }
    }
  }
}

std::string Session::run(const Call& call) {
  expected_ = {};
  heard_ = {};
  if (call.kind == Call::Kind::pass_time) {
    clock_->advance(call.by);
    state_.now += call.by;
    state_.up += call.by;
    return "";
  }
  if (call.kind == Call::Kind::reopen) {
    auto closed = close();
    if (!closed && !is_of_the_disk(closed.error().code)) {
      return "closing: " + text_of(closed.error());
    }
    return open(Ending::process_ended);
  }
  Request request = call.request;
  const auto present = [&](Request& one) {
    const auto& known = state_.tokens[one.key];
    // Where there never was one, somebody makes it up.
    one.token = call.back < known.size() ? known[known.size() - 1 - call.back] : Token{1};
  };
  present(request);
  for (Request& one : request.many) present(one);
  if (device_->struck() > 0 && options_.fault_poisons) state_.model.poison();
  heard_ = perform(*store_, request);
  if (heard_.error && is_of_the_disk(*heard_.error) && !options_.may_fail) {
    return fmt::format("{}: {}", request.describe(), heard_.describe());
  }
  expected_ = state_.model.ask(request, state_.now, heard_);
  learn_tokens(request, heard_);
  return state_.model.settle(request, expected_, heard_);
}

std::string Session::compare_live() {
  auto rows = read_rows(*store_);
  if (!rows) return "reading: " + text_of(rows.error());
  const std::string differs = state_.model.difference(*rows, state_.now);
  if (differs.empty()) state_.model.learn(*rows, state_.now);
  return differs;
}

std::string Session::verify() {
  auto report = store_->verify();
  if (!report) return "verify: " + text_of(report.error());
  return report->problems.empty() ? "" : "verify: " + report->problems.front();
}

Result<void> Session::close() {
  if (!store_) return {};
  auto closed = store_->close();
  store_.reset();
  return closed;
}

void Session::drop() {
  store_.reset();
}

std::string problem_with_container(const std::shared_ptr<SimulatedDevice>& device) {
  auto opened = container::Container::open(device, std::make_shared<container::NoPins>(),
                                           {.read_only = true, .create_if_missing = false});
  if (!opened) return "opening the container: " + text_of(opened.error());
  auto report = (*opened)->fsck({});
  if (!report) return "fsck: " + text_of(report.error());
  if (!report->problems.empty()) return "fsck: " + report->problems.front();
  if (report->blocks_used + report->blocks_free != report->blocks) {
    return fmt::format("of {} blocks {} are used and {} free", report->blocks, report->blocks_used,
                       report->blocks_free);
  }
  return "";
}

}  // namespace once::testing
