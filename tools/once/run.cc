// once run: runs a command once. Whoever asks again gets stdout, stderr and exit code again.
//
//   reserve (store open)           who holds the key is the guardian, see supervise/guardian.h
//   run the command (store shut)   output and signals pass through, the lease is renewed
//   complete, or release (store open)
//
// With --refresh, of a key that has an outcome, a turn is reserved instead, and the outcome
// replaced at the end.
//
// So many `once run` share a store, and any death in between leaves a key that the next to ask
// finds in doubt or runs again, as --on-crash says.
#include "run.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <CLI/App.hpp>
#include <csignal>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "base/error.h"
#include "commands.h"
#include "end_line.h"
#include "once/execute.h"
#include "provenance.h"
#include "run_output.h"
#include "supervise/acquire.h"
#include "supervise/command_line.h"
#include "supervise/follow.h"
#include "supervise/lease_keeper.h"
#include "supervise/patient_store.h"
#include "supervise/signals.h"
#include "supervise/stream.h"
#include "supervise/supervisor.h"
#include "text.h"
#include "writing.h"

namespace once::tool {
namespace {

using namespace supervise;

// What came of the command.
struct CameOf {
  OutcomeKind kind = OutcomeKind::success;
  int exit_code = 0;  // as a shell tells it
  std::string how{};
};

// `ending` is that of a command that has begun.
CameOf came_of(const Ending& ending, const TimeLimit& limit) {
  if (ending.kind == Ending::Kind::timed_out) {
    return {.kind = OutcomeKind::timeout,
            .exit_code = shell_code_timed_out,
            .how = fmt::format("the command took longer than {} ms, and was ended",
                               limit.longest.count())};
  }
  const int code = shell_code(ending.value);
  if (!WIFSIGNALED(ending.value)) {
    return {.kind = code == 0 ? OutcomeKind::success : OutcomeKind::failure,
            .exit_code = code,
            .how = fmt::format("the command ended with exit code {}", code)};
  }
  const int signal = WTERMSIG(ending.value);
  return {
      .kind = OutcomeKind::killed,
      .exit_code = code,
      .how = fmt::format("the command was killed by signal {} ({})", signal, ::strsignal(signal))};
}

// What a command wrote, as long as it is not too much to keep.
class Kept {
 public:
  void add(Bytes& stream, ByteView bytes) {
    total_ += bytes.size();
    if (over()) {
      output_.out = Bytes();
      output_.err = Bytes();
    } else {
      stream.append(bytes);
    }
  }
  Bytes& out() { return output_.out; }
  Bytes& err() { return output_.err; }
  // More than an outcome may have; what surrounds the bytes in it takes part.
  [[nodiscard]] bool over() const { return total_ + 64 > Options{}.max_outcome_bytes; }

  [[nodiscard]] Outcome outcome(const CameOf& came) {
    Outcome outcome;
    if (came.exit_code != 0) outcome = Outcome::failure(failure_code(came.exit_code), came.how);
    outcome.kind = came.kind;
    outcome.content_type = run_content_type;
    output_.exit_code = came.exit_code;
    if (over()) {
      outcome.omitted_bytes = total_;
    } else {
      outcome.value = encode_run_output(output_);
    }
    return outcome;
  }

 private:
  RunOutput output_;
  std::uint64_t total_ = 0;
};

// By which the refreshes of a key take turns.
Key refresh_key(const Key& key) {
  const std::string name = key.to_string();
  return {"", "once.refresh",
          name.size() <= max_id_bytes ? name : to_hex(Fingerprint::of(name).digest)};
}

class Run {
 public:
  Run(const RunJob& job, Context& context) : job_(job), context_(context) {}
  void run();

 private:
  void ask();
  // The right to carry the key out, or with --refresh to replace what it has.
  Result<Acquired> get(const ReserveOptions& options, const Signals& signals);
  // Nullopt: there is nothing to replace any more.
  Result<std::optional<Acquired>> get_turn(const ReserveOptions& options, const Signals& signals);
  void carry_out(const Signals& signals, Supervisor& supervisor, const Reservation& reservation);
  // Says what happened to the store, and to people if it was not the usual.
  void record(const Ending& ending, const Reservation& reservation, Kept& kept);
  Result<void> write_down(const Ending& ending, const Reservation& reservation, Kept& kept);
  Result<void> write_to(Store& store, const Ending& ending, const Reservation& reservation,
                        Kept& kept);
  Result<void> write_end(Store& store, const CameOf& came, const Reservation& reservation,
                         Kept& kept);
  Result<void> write_refresh(Store& store, const CameOf& came, const Reservation& turn, Kept& kept);
  Result<void> write_guardian_died(Store& store, const Reservation& reservation);
  void replay(const Replay& replay);
  void replay_foreign(const Outcome& outcome);
  void replay_omitted(const Outcome& outcome);
  // Writes to one of our streams. A reader that went away is no failure.
  void hand_out(int fd, ByteView bytes);
  // `whole`: what the command wrote is kept, if its outcome is.
  void not_passed_on(int fd, int failed, bool whole);
  void reject(const Replay& replay);
  void in_doubt(std::string_view why);
  void refuse(const Error& error);
  // With --json: what came of it, as the last line of stderr; stdout belongs to the command.
  void report() const;
  // What the command writes to stderr, so that report() begins a line of its own.
  void note_err(ByteView bytes) {
    if (!bytes.empty()) line_open_ = bytes.back() != '\n';
  }
  void give_up(const Error& error) {
    status_ = to_string(error.code);
    differing_fields_ = error.differing_fields;
    context_.fail(error);
  }

  const RunJob& job_;
  Context& context_;
  // Of the outcome that is to be replaced. Then what is reserved is the turn to do so, and not the
  // key, so that others are given that outcome meanwhile.
  std::optional<Token> replacing_;
  std::string status_;
  std::optional<OutcomeKind> kind_;       // what came of the command
  std::optional<Provenance> provenance_;  // none when the key was not got
  bool line_open_ = false;
  std::vector<std::string> differing_fields_;  // of a mismatch that knows them
};

void Run::run() {
  ask();
  report();
}

void Run::ask() {
  auto signals = Signals::take();
  if (!signals) return give_up(signals.error());
  auto supervisor =
      Supervisor::start(job_.command, job_.key.to_string(), *signals, Streams::captured);
  if (!supervisor) return give_up(supervisor.error());
  ReserveOptions options = job_.options;
  options.holder = supervisor->holder();
  auto acquired = get(options, *signals);
  if (!acquired) {
    refuse(acquired.error());
  } else if (const auto* interrupted = std::get_if<Interrupted>(&*acquired)) {
    status_ = "interrupted";
    context_.exit_code = 128 + interrupted->signal;
  } else if (const auto* done = std::get_if<Replay>(&*acquired)) {
    supervisor->finish();
    if (job_.reject) return reject(*done);
    // Nothing is left that a signal would have to be passed on to.
    signals->restore();
    ::signal(SIGPIPE, SIG_IGN);
    replay(*done);
  } else {
    carry_out(*signals, *supervisor, std::get<Reservation>(*acquired));
  }
}

Result<Acquired> Run::get(const ReserveOptions& options, const Signals& signals) {
  for (;;) {
    auto acquired = acquire({.path = job_.where, .make = job_.layout}, job_.key, options, signals);
    const bool has_outcome = acquired && std::holds_alternative<Replay>(*acquired);
    if (!job_.refresh || !has_outcome) return acquired;
    auto turn = get_turn(options, signals);
    if (!turn) return pass(turn);
    if (*turn) return std::move(**turn);
  }
}

Result<std::optional<Acquired>> Run::get_turn(const ReserveOptions& options,
                                              const Signals& signals) {
  const Key key = refresh_key(job_.key);
  const ReserveOptions turn_options{.lease = options.lease,
                                    .retention = Duration{0},  // nothing is left of it
                                    .on_abandon = OnAbandon::rerun,
                                    .wait = options.wait,
                                    .holder = options.holder};
  auto acquired = acquire({.path = job_.where}, key, turn_options, signals);
  if (!acquired) return pass(acquired);
  if (std::holds_alternative<Replay>(*acquired)) {
    return fail(ErrorCode::conflict,
                "the key by which refreshes take turns has an outcome, given by hand; remove it "
                "with: once rm {}",
                shell_operands({job_.where, key.to_string()}));
  }
  auto* const turn = std::get_if<Reservation>(&*acquired);
  if (turn == nullptr) return std::move(*acquired);
  {
    // Who had the turn before may have replaced it.
    auto store = open_to_read(job_.where, "looking up");
    if (!store) return pass(store);
    const auto found = store->find(job_.key);
    if (!found) return std::unexpected(found.error());
    if (*found && (*found)->outcome) {
      replacing_ = (*found)->record.token;
      turn->attempt = (*found)->record.attempt + 1;
      return std::move(*acquired);
    }
  }
  auto store = open_patiently(job_.where, std::nullopt, [] { return false; });
  if (!store) return pass(store);
  auto released = store->release(*turn, "there is nothing to refresh");
  if (!released) return pass(released);
  return std::nullopt;
}

void Run::carry_out(const Signals& signals, Supervisor& supervisor,
                    const Reservation& reservation) {
  provenance_ = {.token = reservation.token, .attempt = reservation.attempt};
  Kept kept;
  Stream out(std::move(supervisor.out()), STDOUT_FILENO,
             [&](ByteView bytes) { kept.add(kept.out(), bytes); });
  Stream err(std::move(supervisor.err()), STDERR_FILENO, [&](ByteView bytes) {
    kept.add(kept.err(), bytes);
    note_err(bytes);
  });
  const supervise::Output output{.out = &out, .err = &err};
  LeaseKeeper keeper(job_.where, reservation);
  supervisor.go(reservation.token.value, reservation.attempt);
  const Ending ending = follow(supervisor, signals, output, keeper.lost(), job_.limit);
  // Renewed until the end is written down, so that a short lease does not lapse while we wait for
  // the store. A renewal that comes after is refused as fenced, and changes nothing.
  record(ending, reservation, kept);
  keeper.stop();
  supervisor.finish();
  flush(signals, output);
  for (const auto& [stream, fd] :
       {std::pair(&out, STDOUT_FILENO), std::pair(&err, STDERR_FILENO)}) {
    if (stream->failure() != 0) not_passed_on(fd, stream->failure(), !kept.over());
  }
}

void Run::record(const Ending& ending, const Reservation& reservation, Kept& kept) {
  if (ending.kind == Ending::Kind::lease_lost) {
    status_ = "lost";
    return context_.fail(
        exit_busy, fmt::format("{} '{}' was taken over by somebody else while the command "
                               "ran, and so the command was killed; a longer --lease helps "
                               "where the store cannot be reached in time",
                               replacing_ ? "the refreshing of key" : "key", job_.key.to_string()));
  }
  const auto written = write_down(ending, reservation, kept);
  if (written) return;
  status_ = "lost";
  if (written.error().code == ErrorCode::fenced) {
    return context_.fail(exit_busy,
                         fmt::format("key '{}' was taken over by somebody else before the command "
                                     "ended; what they find out is what counts",
                                     job_.key.to_string()));
  }
  std::string_view next = "finds it in doubt";
  if (replacing_) {
    next = "is given the outcome that was there before";
  } else if (job_.options.on_abandon == OnAbandon::rerun)
    next = "finds it free, and runs it again";
  if (written.error().code == ErrorCode::store_missing) {
    next = "runs it again, unless the store comes back as it was";
  }
  if (written.error().code == ErrorCode::unknown) {
    next = "may find it done or not; `once get` tells";
  }
  context_.fail(exit_store, fmt::format("the command ended, but that could not be written down: "
                                        "{}. Whoever asks for key '{}' next {}",
                                        written.error().message, job_.key.to_string(), next));
}

Result<void> Run::write_down(const Ending& ending, const Reservation& reservation, Kept& kept) {
  auto store = open_patiently(job_.where, std::nullopt, [] { return false; });
  if (!store) return pass(store);
  auto written = write_to(*store, ending, reservation, kept);
  if (!written || !context_.json || replacing_) return written;
  // What cannot be read is not known then; it was written all the same.
  if (const auto found = store->find(job_.key); found && *found) {
    const Record& record = (*found)->record;
    provenance_ = provenance_of(record, record.updated_at);
    provenance_->replayed = false;
  }
  return written;
}

Result<void> Run::write_to(Store& store, const Ending& ending, const Reservation& reservation,
                           Kept& kept) {
  switch (ending.kind) {
    case Ending::Kind::not_started:
      status_ = to_string(Status::released);
      context_.fail(
          shell_code_not_started(ending.value),
          fmt::format("cannot run '{}': {}", job_.command.front(), std::strerror(ending.value)));
      return store.release(reservation, "the command could not be started");
    case Ending::Kind::guardian_died:
      return write_guardian_died(store, reservation);
    case Ending::Kind::lease_lost:
      break;
    case Ending::Kind::ended:
    case Ending::Kind::timed_out:
      if (replacing_) return write_refresh(store, came_of(ending, job_.limit), reservation, kept);
      return write_end(store, came_of(ending, job_.limit), reservation, kept);
  }
  return {};
}

Result<void> Run::write_end(Store& store, const CameOf& came, const Reservation& reservation,
                            Kept& kept) {
  const bool failed = came.exit_code != 0;
  context_.exit_code = came.exit_code;
  kind_ = came.kind;
  if (came.kind == OutcomeKind::timeout) say(came.how);
  if (failed && !job_.keep_failures) {
    status_ = to_string(Status::released);
    return store.release(reservation, came.how);
  }
  status_ = to_string(failed ? Status::failed : Status::completed);
  const CompleteOptions options{.retention = failed ? job_.keep_failures : std::nullopt};
  auto done = store.complete(reservation, kept.outcome(came), options);
  if (done && kept.over()) {
    say(
        fmt::format("the command wrote more than the {} bytes that can be kept: it will not run "
                    "again for key '{}', but what it wrote cannot be printed again",
                    Options{}.max_outcome_bytes, job_.key.to_string()));
  }
  return done;
}

// Nothing changes before the new outcome is there, and whatever fails leaves the one before.
Result<void> Run::write_refresh(Store& store, const CameOf& came, const Reservation& turn,
                                Kept& kept) {
  context_.exit_code = came.exit_code;
  kind_ = came.kind;
  if (came.kind == OutcomeKind::timeout) say(came.how);
  status_ = to_string(Status::released);
  // Nobody else comes in between, since the store is ours: who has lost the turn replaces nothing.
  if (auto ended = store.release(turn, came.how); !ended) return ended;
  if (came.exit_code != 0) return {};
  if (kept.over()) {
    status_ = to_string(ErrorCode::limit_exceeded);
    context_.fail(exit_store, fmt::format("the command wrote more than the {} bytes that can be "
                                          "kept: key '{}' keeps the outcome that it had",
                                          Options{}.max_outcome_bytes, job_.key.to_string()));
    return {};
  }
  const auto found = store.find(job_.key);
  if (!found) return std::unexpected(found.error());
  if (*found && (*found)->record.token != *replacing_) {
    return fail(ErrorCode::fenced, "the outcome of key '{}' was replaced meanwhile",
                job_.key.to_string());
  }
  const auto replaced = Executor(store).refresh(job_.key, [&] { return kept.outcome(came); },
                                                {.lease = job_.options.lease,
                                                 .retention = job_.options.retention,
                                                 .fingerprint = job_.options.fingerprint,
                                                 .fields = job_.options.fields,
                                                 .on_abandon = job_.options.on_abandon,
                                                 .wait = Duration{0}});
  if (!replaced) return std::unexpected(replaced.error());
  status_ = to_string(Status::completed);
  provenance_ = replaced->provenance();
  return {};
}

Result<void> Run::write_guardian_died(Store& store, const Reservation& reservation) {
  constexpr std::string_view reason = "the process that guarded the command was killed";
  if (replacing_) {
    status_ = to_string(Status::released);
    context_.fail(128 + SIGKILL,
                  fmt::format("{}, and the command with it; key '{}' keeps the outcome that it had",
                              reason, job_.key.to_string()));
    return store.release(reservation, reason);
  }
  if (job_.options.on_abandon == OnAbandon::rerun) {
    status_ = to_string(Status::released);
    context_.fail(128 + SIGKILL, fmt::format("{}, and the command with it; the next to ask for "
                                             "key '{}' runs it again",
                                             reason, job_.key.to_string()));
    return store.release(reservation, reason);
  }
  auto done = store.doubt(reservation, reason);
  if (done) in_doubt(fmt::format("{}, and the command with it", reason));
  return done;
}

void Run::in_doubt(std::string_view why) {
  const std::string key = job_.key.to_string();
  const std::string which = shell_operands({job_.where, key});
  const std::string_view verdict = "--as success|failure|rerun";
  // Nothing behind -- is an option.
  const std::string decide = which.starts_with("--") ? fmt::format("{} {}", verdict, which)
                                                     : fmt::format("{} {}", which, verdict);
  status_ = to_string(Status::in_doubt);
  context_.fail(
      exit_in_doubt,
      fmt::format("key '{}' is in doubt: {}, and nobody knows whether the command did its "
                  "work. Find out, then decide:\n"
                  "  once resolve {}",
                  key, why, decide));
}

void Run::refuse(const Error& error) {
  switch (error.code) {
    case ErrorCode::in_doubt:
      return in_doubt("the run before was cut off");
    case ErrorCode::conflict:  // of get_turn()
      status_ = to_string(error.code);
      return context_.fail(exit_store, error.message);
    default:
      return give_up(error);
  }
}

void Run::replay(const Replay& replay) {
  const Outcome& outcome = replay.outcome;
  provenance_ = replay.provenance;
  kind_ = outcome.kind;
  status_ = to_string(outcome.kind == OutcomeKind::success ? Status::completed : Status::failed);
  if (outcome.omitted_bytes != 0) return replay_omitted(outcome);
  if (outcome.content_type != run_content_type || !outcome.value) return replay_foreign(outcome);
  const auto output = decode_run_output(*outcome.value);
  if (!output) return context_.fail(output.error());
  note_err(output->err);
  context_.exit_code = output->exit_code;
  hand_out(STDOUT_FILENO, output->out);
  hand_out(STDERR_FILENO, output->err);
}

// Of a command that failed its exit code is kept all the same; one that did its work has more to
// give than that it did.
void Run::replay_omitted(const Outcome& outcome) {
  std::string how = "was run already";
  int code = exit_store;
  if (outcome.kind != OutcomeKind::success) {
    how += " (" + (outcome.message.empty() ? outcome.code : outcome.message) + ")";
    code = exit_code_in(outcome).value_or(exit_store);
  }
  context_.fail(code, fmt::format("key '{}' {} and does not run again; what the command wrote {}",
                                  job_.key.to_string(), how, why_omitted(outcome)));
}

void Run::hand_out(int fd, ByteView bytes) {
  const int failed = write_all(fd, bytes);
  if (failed != 0 && failed != EPIPE) not_passed_on(fd, failed, true);
}

void Run::not_passed_on(int fd, int failed, bool whole) {
  const std::string what =
      fmt::format("{} could not be written: {}", fd == STDOUT_FILENO ? "stdout" : "stderr",
                  std::strerror(failed));
  const bool is_kept =
      status_ == to_string(Status::completed) || status_ == to_string(Status::failed);
  if (!is_kept) return say(what);  // that nothing came of it is worse, and has its exit code
  context_.fail(
      exit_store,
      whole ? what + "; the outcome is kept, and is printed by the same command again" : what);
}

void Run::reject(const Replay& replay) {
  provenance_ = replay.provenance;
  provenance_->replayed = false;
  kind_ = replay.outcome.kind;
  status_ = to_string(ErrorCode::already_done);
  const std::string key = job_.key.to_string();
  const std::string next = replay.outcome.omitted_bytes == 0
                               ? "it is printed by: once get " + shell_operands({job_.where, key})
                               : "what the command wrote " + why_omitted(replay.outcome);
  context_.fail(exit_done,
                fmt::format("key '{}' has an outcome already, and --reject asks for an error then; "
                            "{}",
                            key, next));
}

// An outcome that no command gave, but somebody by hand: `once resolve`.
void Run::replay_foreign(const Outcome& outcome) {
  if (outcome.value) hand_out(STDOUT_FILENO, *outcome.value);
  if (outcome.kind == OutcomeKind::success) return;
  const std::string why = outcome.message.empty() ? outcome.code : outcome.message;
  context_.fail(exit_none, why.empty() ? "resolved as a failure" : why);
}

void Run::report() const {
  if (!context_.json) return;
  Json line = run_end_json({.key = job_.key.to_string(),
                            .status = status_,
                            .provenance = provenance_,
                            .kind = kind_,
                            .exit_code = context_.exit_code});
  for (const std::string& name : differing_fields_) {
    line["differing_fields"].push_back(text_json(name));
  }
  (void)write_all(STDERR_FILENO, (line_open_ ? "\n" : "") + line.dump() + "\n");
}

}  // namespace

void run_once(const RunJob& job, Context& context) {
  Run(job, context).run();
}

}  // namespace once::tool
