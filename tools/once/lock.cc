// once lock: runs a command while holding a named lease with a fencing token.
//
// The same as `once run` in how the command is guarded (supervise/guardian.h), but nothing is kept:
// the command has our own stdin, stdout and stderr, and the lock is given back however it ends.
#include "lock.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <variant>

#include "base/error.h"
#include "commands.h"
#include "duration.h"
#include "end_line.h"
#include "once/key.h"
#include "supervise/acquire.h"
#include "supervise/command_line.h"
#include "supervise/follow.h"
#include "supervise/lease_keeper.h"
#include "supervise/patient_store.h"
#include "supervise/signals.h"
#include "supervise/supervisor.h"
#include "text.h"
#include "writing.h"

namespace once::tool {
namespace {

using namespace supervise;

class Lock {
 public:
  Lock(const LockJob& job, Context& context)
      : job_(job), context_(context), key_("", lock_operation, job.name) {}
  void run();

 private:
  void ask();
  void hold(const Signals& signals, Supervisor& supervisor, const Reservation& reservation);
  void tell(const Ending& ending);
  void give_back(const Reservation& reservation);
  void lost();
  void give_up(const Error& error);
  // With --json: what came of it, as the last line of stderr; stdout belongs to the command.
  void report() const;

  const LockJob& job_;
  Context& context_;
  const Key key_;
  std::string status_;
  std::optional<Reservation> reservation_;  // none: the lock was not got
  bool lost_ = false;
};

void Lock::run() {
  ask();
  report();
}

void Lock::give_up(const Error& error) {
  status_ = to_string(error.code);
  context_.fail(error);
}

void Lock::ask() {
  auto signals = Signals::take();
  if (!signals) return give_up(signals.error());
  auto supervisor = Supervisor::start(job_.command, key_.to_string(), *signals, Streams::inherited);
  if (!supervisor) return give_up(supervisor.error());
  const ReserveOptions options{.lease = job_.lease,
                               .on_abandon = OnAbandon::rerun,
                               .wait = job_.wait,
                               .holder = supervisor->holder()};
  const auto acquired = acquire({.path = job_.where, .make = job_.layout}, key_, options, *signals);
  if (!acquired) return give_up(acquired.error());
  if (const auto* interrupted = std::get_if<Interrupted>(&*acquired)) {
    status_ = "interrupted";
    context_.exit_code = 128 + interrupted->signal;
    return;
  }
  if (const auto* replay = std::get_if<Replay>(&*acquired)) {
    status_ = to_string(replay->outcome.kind == OutcomeKind::success ? Status::completed
                                                                     : Status::failed);
    return context_.fail(
        exit_store, fmt::format("the key of lock '{}' has an outcome, given by hand; remove it "
                                "with: once rm {}",
                                job_.name, shell_operands({job_.where, key_.to_string()})));
  }
  hold(*signals, *supervisor, std::get<Reservation>(*acquired));
}

void Lock::hold(const Signals& signals, Supervisor& supervisor, const Reservation& reservation) {
  reservation_ = reservation;
  status_ = to_string(Status::released);
  LeaseKeeper keeper(job_.where, reservation);
  supervisor.go(reservation.token.value, reservation.attempt);
  const Ending ending = follow(supervisor, signals, {}, keeper.lost());
  keeper.stop();
  tell(ending);
  if (!lost_) give_back(reservation);
  supervisor.finish();
}

void Lock::tell(const Ending& ending) {
  switch (ending.kind) {
    case Ending::Kind::not_started:
      return context_.fail(
          shell_code_not_started(ending.value),
          fmt::format("cannot run '{}': {}", job_.command.front(), std::strerror(ending.value)));
    case Ending::Kind::guardian_died:
      return context_.fail(
          128 + SIGKILL,
          fmt::format("the process that guarded the command was killed, and the command with it; "
                      "lock '{}' is free again",
                      job_.name));
    case Ending::Kind::lease_lost:
      return lost();
    case Ending::Kind::timed_out:  // it may take as long as it likes
    case Ending::Kind::ended:
      context_.exit_code = shell_code(ending.value);
  }
}

void Lock::give_back(const Reservation& reservation) {
  auto store = open_patiently(job_.where, std::nullopt, [] { return false; });
  Result<void> released;
  if (!store) {
    released = pass(store);
  } else {
    released = store->release(reservation, "the command ended");
  }
  if (released) return;
  if (released.error().code == ErrorCode::fenced) return lost();
  status_ = to_string(released.error().code);
  context_.fail(exit_store,
                fmt::format("the command ended, but lock '{}' could not be given back: {}; the "
                            "next to ask for it gets it all the same",
                            job_.name, released.error().message));
}

void Lock::lost() {
  lost_ = true;
  status_ = "lost";
  context_.fail(
      exit_busy,
      fmt::format("lock '{}' was taken over by somebody else while the command ran, which "
                  "does not run any more; a longer --lease helps where the store cannot "
                  "be reached in time",
                  job_.name));
}

void Lock::report() const {
  if (!context_.json) return;
  End end{.key = key_.to_string(), .status = status_, .exit_code = context_.exit_code};
  if (reservation_)
    end.provenance = {.token = reservation_->token, .attempt = reservation_->attempt};
  (void)write_all(STDERR_FILENO, lock_end_json(end).dump() + "\n");
}

struct LockArguments {
  std::string store;
  std::string name;
  std::string lease = "1m";
  std::string wait = "30s";
  Layout layout = Options{}.layout;
  std::vector<std::string> command;  // only that there is one; see supervise/command_line.h
};

Result<LockJob> job_of(const LockArguments& arguments) {
  if (auto lasting = check_lasting(arguments.store); !lasting) return pass(lasting);
  LockJob job{
      .where = arguments.store, .layout = arguments.layout, .name = arguments.name, .command = {}};
  if (auto valid = Key("", lock_operation, job.name).validate(); !valid) return pass(valid);
  auto command = command_after_dashes();
  if (!command) return pass(command);
  job.command = std::move(*command);
  auto taken = take_duration("--lease", arguments.lease, job.lease, Duration{1});
  if (taken) taken = take_duration("--wait", arguments.wait, job.wait);
  if (!taken) return pass(taken);
  return job;
}

}  // namespace

void run_locked(const LockJob& job, Context& context) {
  Lock(job, context).run();
}

void add_lock(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<LockArguments>();
  auto* command = add_command(
      app, context, "lock", "Run a command while holding a named lock",
      "once lock jobs.once nightly -- ./backup.sh\n"
      "  once lock jobs.once deploy --wait 10m -- sh -c './deploy --fence $ONCE_TOKEN'\n"
      "\n"
      "One command at a time holds a lock of that name. ONCE_TOKEN grows with every holder: hand "
      "it\n"
      "to what the command works on, so that a holder which was replaced can be refused there. "
      "The\n"
      "exit code is the command's; 75 means that the lock was held, or was lost.");
  add_store_argument(*command, arguments->store);
  command->add_option("NAME", arguments->name, "Name of the lock, any text")
      ->required()
      ->type_name("");
  command
      ->add_option("--lease", arguments->lease,
                   "How long the lock stays ours if we cannot renew; renewed while it runs")
      ->capture_default_str();
  command->add_option("--wait", arguments->wait, "How long to wait while somebody else holds it")
      ->capture_default_str();
  add_layout_option(*command, arguments->layout);
  command->add_option("COMMAND", arguments->command, "The command and its arguments, after --")
      ->required();
  command->callback([arguments, &context] {
    const auto job = job_of(*arguments);
    if (job) return run_locked(*job, context);
    context.fail(job.error());
    if (!context.json) return;
    const Key key("", lock_operation, arguments->name);
    report_not_begun(false, key.validate() ? Json(key.to_string()) : Json(nullptr),
                     to_string(job.error().code), context.exit_code);
  });
}

}  // namespace once::tool
