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
                                   .fields = request.fields,
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
                                    .fields = request.fields,
                                    .wait = Duration(0),
                                    .durability = request.durability});
  take_execution(reply, done);
  return reply;
}

ReserveOptions reserve_options(const Request& request) {
  return {.lease = request.lease,
          .retention = request.retention,
          .fingerprint = request.fingerprint,
          .fields = request.fields,
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
    case Request::Kind::compact: {
      const auto compacted = store.compact();
      return compacted ? Reply{} : failed(compacted);
    }
  }
  return {};
}

std::string Call::describe() const {
  if (kind == Kind::pass_time) return fmt::format("{} ms pass", by.count());
  if (kind == Kind::reopen) return "close and open again";
  return request.describe();
}

void Client::learn_tokens(const Request& request) {
  const bool granted = !heard_.replayed && heard_.token.value != 0;
  if (granted && (request.kind == Request::Kind::reserve || heard_.worked)) {
    state_.tokens[request.key].push_back(heard_.token);
  }
  if (request.kind != Request::Kind::reserve_many) return;
  for (std::size_t i = 0; i < heard_.many.size(); ++i) {
    const Reply& one = heard_.many[i];
    if (!one.replayed && one.token.value != 0) {
      state_.tokens[request.many[i].key].push_back(one.token);
    }
  }
}

std::string Client::ask(Store& store, const Call& call, bool may_fail) {
  Request request = call.request;
  const auto present = [&](Request& one) {
    const auto& known = state_.tokens[one.key];
    // Where there never was one, somebody makes it up.
    one.token = call.back < known.size() ? known[known.size() - 1 - call.back] : Token{1};
  };
  present(request);
  for (Request& one : request.many) present(one);
  expected_ = {};
  heard_ = perform(store, request);
  if (heard_.error && is_of_the_disk(*heard_.error) && !may_fail) {
    return fmt::format("{}: {}", request.describe(), heard_.describe());
  }
  expected_ = state_.model.ask(request, state_.now, heard_);
  learn_tokens(request);
  return state_.model.settle(request, expected_, heard_);
}

Session::Session(std::shared_ptr<SimulatedDevice> device, SessionState state,
                 const SessionOptions& options)
    : device_(std::move(device)), client_(std::move(state)), options_(options) {
  for (std::uint32_t i = 0; i < client_.state().boots; ++i) clock_->reboot();
  clock_->advance(client_.state().up);
  clock_->set_wall(client_.state().now);
}

Session::~Session() = default;

Result<void> Session::try_open(Ending ending) {
  drop();
  failed_before_ = failed_writes();
  SessionState& state = client_.state();
  if (ending == Ending::power_cut) {
    clock_->reboot();
    ++state.boots;
    state.up = {};
  }
  const std::uint32_t self = first_pid + state.lives++;
  auto processes = std::make_shared<SimulatedProcesses>(self);
  for (std::uint32_t pid = first_pid; pid < self; ++pid) {
    processes->set(pid, options_.earlier);
    state.model.set_liveness(holder(pid), options_.earlier);
  }
  state.model.set_self(holder(self));
  Options options;
  options.memory_budget = options_.memory_budget;
  options.clock = clock_;
  options.processes = processes;
  options.open_timeout_ms = Duration(0);
  options.read_only = options_.read_only;
  auto engine =
      engine::EmbeddedEngine::open(make_quick(engine::make_file_place(
                                       "simulated.once", {.options = options, .device = device_})),
                                   options);
  if (!engine) return pass(engine);
  store_ = open_on(std::move(*engine), options);
  return {};
}

std::uint64_t Session::failed_writes() const {
  const CallCounts struck = device_->struck();
  return struck.of(CallKind::write) + struck.of(CallKind::sync);
}

std::string Session::compare(Ending ending) {
  auto rows = read_rows(*store_);
  if (!rows) return "reading: " + text_of(rows.error());
  return client_.state().model.reopen(*rows, client_.state().now, ending);
}

std::string Session::open(Ending ending) {
  if (auto opened = try_open(ending); !opened) return "opening: " + text_of(opened.error());
  return compare(ending);
}

std::string Session::run(const Call& call) {
  SessionState& state = client_.state();
  if (call.kind == Call::Kind::pass_time) {
    clock_->advance(call.by);
    state.now += call.by;
    state.up += call.by;
    return "";
  }
  if (call.kind == Call::Kind::reopen) {
    auto closed = close();
    if (!closed && !is_of_the_disk(closed.error().code)) {
      return "closing: " + text_of(closed.error());
    }
    return open(Ending::process_ended);
  }
  // After a failed write or sync nothing may be acknowledged.
  if (failed_writes() > failed_before_) state.model.poison();
  return client_.ask(*store_, call, options_.may_fail);
}

std::string Session::compare_live() {
  auto rows = read_rows(*store_);
  if (!rows) return "reading: " + text_of(rows.error());
  SessionState& state = client_.state();
  const std::string differs = state.model.difference(*rows, state.now);
  if (differs.empty()) state.model.learn(*rows, state.now);
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
