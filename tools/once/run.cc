// once run: runs a command once. Whoever asks again gets stdout, stderr and exit code again.
//
//   reserve (store open)           who holds the key is the guardian, see supervise/guardian.h
//   run the command (store shut)   output and signals pass through, the lease is renewed
//   complete, or release (store open)
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
#include "duration.h"
#include "json.h"
#include "run_output.h"
#include "run_question.h"
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

std::string how_ended(int wait_status) {
  if (!WIFSIGNALED(wait_status)) {
    return fmt::format("the command ended with exit code {}", shell_code(wait_status));
  }
  return fmt::format("the command was killed by signal {} ({})", WTERMSIG(wait_status),
                     ::strsignal(WTERMSIG(wait_status)));
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

  [[nodiscard]] Outcome outcome(int wait_status) {
    const int code = shell_code(wait_status);
    Outcome outcome;
    if (code != 0) outcome = Outcome::failure(failure_code(code), how_ended(wait_status));
    if (WIFSIGNALED(wait_status)) outcome.kind = OutcomeKind::killed;
    outcome.content_type = run_content_type;
    output_.exit_code = code;
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

class Run {
 public:
  Run(const RunJob& job, Context& context) : job_(job), context_(context) {}
  void run();

 private:
  void ask();
  void carry_out(const Signals& signals, Supervisor& supervisor, const Reservation& reservation);
  // Says what happened to the store, and to people if it was not the usual.
  void record(const Ending& ending, const Reservation& reservation, Kept& kept);
  Result<void> write_down(const Ending& ending, const Reservation& reservation, Kept& kept);
  Result<void> write_end(Store& store, const Reservation& reservation, int wait_status, Kept& kept);
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
  std::string status_;
  bool replayed_ = false;
  bool line_open_ = false;
  std::optional<Token> token_;  // and the attempt: none when the key was not got
  std::optional<std::uint32_t> attempt_;
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
  auto acquired = acquire({.path = job_.where, .make = job_.layout}, job_.key, options, *signals);
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

void Run::carry_out(const Signals& signals, Supervisor& supervisor,
                    const Reservation& reservation) {
  token_ = reservation.token;
  attempt_ = reservation.attempt;
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
  const Ending ending = follow(supervisor, signals, output, keeper.lost());
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
    return context_.fail(exit_busy,
                         fmt::format("key '{}' was taken over by somebody else while the command "
                                     "ran, and so the command was killed; a longer --lease helps "
                                     "where the store cannot be reached in time",
                                     job_.key.to_string()));
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
  if (job_.options.on_abandon == OnAbandon::rerun) next = "finds it free, and runs it again";
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
  switch (ending.kind) {
    case Ending::Kind::not_started:
      status_ = to_string(Status::released);
      context_.fail(
          shell_code_not_started(ending.value),
          fmt::format("cannot run '{}': {}", job_.command.front(), std::strerror(ending.value)));
      return store->release(reservation, "the command could not be started");
    case Ending::Kind::guardian_died:
      return write_guardian_died(*store, reservation);
    case Ending::Kind::lease_lost:
      break;
    case Ending::Kind::ended:
      return write_end(*store, reservation, ending.value, kept);
  }
  return {};
}

Result<void> Run::write_end(Store& store, const Reservation& reservation, int wait_status,
                            Kept& kept) {
  const int code = shell_code(wait_status);
  context_.exit_code = code;
  if (code != 0 && !job_.keep_failures) {
    status_ = to_string(Status::released);
    return store.release(reservation, how_ended(wait_status));
  }
  status_ = to_string(code == 0 ? Status::completed : Status::failed);
  const CompleteOptions options{.retention = code == 0 ? std::nullopt : job_.keep_failures};
  auto done = store.complete(reservation, kept.outcome(wait_status), options);
  if (done && kept.over()) {
    say(
        fmt::format("the command wrote more than the {} bytes that can be kept: it will not run "
                    "again for key '{}', but what it wrote cannot be printed again",
                    Options{}.max_outcome_bytes, job_.key.to_string()));
  }
  return done;
}

Result<void> Run::write_guardian_died(Store& store, const Reservation& reservation) {
  constexpr std::string_view reason = "the process that guarded the command was killed";
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
    default:
      return give_up(error);
  }
}

void Run::replay(const Replay& replay) {
  const Outcome& outcome = replay.outcome;
  replayed_ = true;
  token_ = replay.provenance.token;
  attempt_ = replay.provenance.attempt;
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
  token_ = replay.provenance.token;
  attempt_ = replay.provenance.attempt;
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
  Json line = {{"key", job_.key.to_string()},
               {"status", status_},
               {"replayed", replayed_},
               {"attempt", attempt_ ? Json(*attempt_) : Json(nullptr)},
               {"token", token_ ? Json(token_->value) : Json(nullptr)},
               {"exit_code", context_.exit_code}};
  for (const std::string& name : differing_fields_) {
    line["differing_fields"].push_back(text_json(name));
  }
  (void)write_all(STDERR_FILENO, (line_open_ ? "\n" : "") + line.dump() + "\n");
}

// ---- The command line ---------------------------------------------------------------------------

struct RunArguments {
  std::string store;
  std::string key;
  std::optional<std::string> tenant;
  std::optional<std::string> operation;
  std::string ttl = "24h";
  std::string lease = "5m";
  std::string wait = "30s";
  std::string on_crash = "in-doubt";
  std::string keep_failures;
  bool no_fingerprint = false;
  std::vector<std::string> fields;
  bool reject = false;
  Layout layout = Options{}.layout;
  std::vector<std::string> command;  // only that there is one; see supervise/command_line.h
};

Result<Key> key_of(const RunArguments& arguments) {
  auto key = Key::parse(arguments.key);
  if (!key) return key;
  if (arguments.tenant || arguments.operation) {
    if (!key->tenant.empty() || !key->operation.empty()) {
      return fail(ErrorCode::invalid_argument,
                  "--key '{}' names tenant and operation already; leave --tenant and --operation "
                  "out, or give a plain id",
                  arguments.key);
    }
    key->tenant = arguments.tenant.value_or("");
    key->operation = arguments.operation.value_or("");
  }
  if (auto valid = key->validate(); !valid) return pass(valid);
  return key;
}

Result<RunJob> job_of(const RunArguments& arguments) {
  RunJob job;
  if (auto lasting = check_lasting(arguments.store); !lasting) return pass(lasting);
  job.where = arguments.store;
  job.reject = arguments.reject;
  job.layout = arguments.layout;
  auto key = key_of(arguments);
  if (!key) return pass(key);
  job.key = std::move(*key);
  auto command = command_after_dashes();
  if (!command) return pass(command);
  job.command = std::move(*command);
  const auto ttl = parse_duration(arguments.ttl);
  if (!ttl) return std::unexpected(ttl.error());
  const auto lease = parse_duration(arguments.lease);
  if (!lease) return std::unexpected(lease.error());
  const auto wait = parse_duration(arguments.wait);
  if (!wait) return std::unexpected(wait.error());
  if (*ttl <= Duration{0} || *lease <= Duration{0}) {
    return fail(ErrorCode::invalid_argument, "--ttl and --lease must be longer than nothing");
  }
  job.options.retention = *ttl;
  job.options.lease = *lease;
  job.options.wait = *wait;
  job.options.on_abandon = arguments.on_crash == "rerun" ? OnAbandon::rerun : OnAbandon::in_doubt;
  if (!arguments.keep_failures.empty()) {
    const auto keep = parse_duration(arguments.keep_failures);
    if (!keep) return std::unexpected(keep.error());
    job.keep_failures = *keep;
  }
  auto asked = ask(job.command, arguments.no_fingerprint, arguments.fields, job.options);
  if (!asked) return pass(asked);
  return job;
}

}  // namespace

void run_once(const RunJob& job, Context& context) {
  Run(job, context).run();
}

void add_run(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  auto* command = add_command(
      app, context, "run", "Run a command once; to who asks again, say what it said",
      "once run jobs.once --key invoice-42 -- ./send-invoice 42\n"
      "  once run jobs.once --key acme/backup/monday --on-crash rerun -- ./backup.sh\n"
      "  once run jobs.once --key order-42 --field amount=12.50 --field to=bob -- ./charge "
      "order-42\n"
      "\n"
      "The command finds ONCE_KEY, ONCE_TOKEN and ONCE_ATTEMPT in its environment. Its exit code "
      "is\n"
      "that of `once run`; of its own are 64 usage, 65 the key was used for another command, 70 "
      "in\n"
      "doubt, 73 done already (--reject), 74 the store, 75 busy. With --json the last line of "
      "stderr says what happened.");
  add_store_argument(*command, arguments->store);
  command->add_option("--key", arguments->key, "Names the operation: id, or tenant/operation/id")
      ->required();
  command->add_option("--tenant", arguments->tenant, "Tenant, as it is, for a KEY that is an id");
  command->add_option("--operation", arguments->operation,
                      "Operation, as it is, for a KEY that is an id");
  command->add_option("--ttl", arguments->ttl, "How long the outcome is kept")
      ->capture_default_str();
  command
      ->add_option("--lease", arguments->lease,
                   "How long the key stays ours if we cannot renew; renewed while it runs")
      ->capture_default_str();
  command
      ->add_option(
          "--wait", arguments->wait,
          "How long to wait while somebody else runs it; for the store itself, 5s at least")
      ->capture_default_str();
  command
      ->add_option("--on-crash", arguments->on_crash,
                   "What becomes of a run that was killed: in-doubt asks somebody to decide,\n"
                   "rerun lets the next one run it")
      ->check(CLI::IsMember({"rerun", "in-doubt"}))
      ->capture_default_str();
  command->add_option("--keep-failures", arguments->keep_failures,
                      "Keep the outcome of a command that fails, this long; else its key is free");
  command->add_flag("--no-fingerprint", arguments->no_fingerprint,
                    "Let the same key stand for another command, too");
  command
      ->add_option(
          "--field", arguments->fields,
          "Something the key stands for: who asks with another value is refused, and told\n"
          "which field differs. Only digests are kept; may be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command->add_flag("--reject", arguments->reject,
                    "Where there is an outcome already: say nothing of it, and exit with 73");
  add_layout_option(*command, arguments->layout);
  command->add_option("COMMAND", arguments->command, "The command and its arguments, after --")
      ->required();
  command->callback([arguments, &context] {
    const auto job = job_of(*arguments);
    if (job) return run_once(*job, context);
    context.fail(job.error());
    if (!context.json) return;
    const auto key = key_of(*arguments);
    report_not_begun(true, key ? Json(key->to_string()) : Json(nullptr),
                     to_string(job.error().code), context.exit_code);
  });
}

}  // namespace once::tool
