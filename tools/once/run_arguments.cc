// once run: its command line. What it does is in run.cc.
#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "commands.h"
#include "duration.h"
#include "end_line.h"
#include "once/key.h"
#include "run.h"
#include "run_question.h"
#include "supervise/command_line.h"

namespace once::tool {
namespace {

using namespace supervise;

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
  std::string timeout = "forever";
  std::string kill_after = "10s";
  bool no_fingerprint = false;
  std::vector<std::string> fields;
  bool reject = false;
  bool refresh = false;
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

Result<void> take_durations(const RunArguments& arguments, RunJob& job) {
  constexpr Duration some{1};
  auto taken = take_duration("--ttl", arguments.ttl, job.options.retention, some);
  if (taken) taken = take_duration("--lease", arguments.lease, job.options.lease, some);
  if (taken) taken = take_duration("--wait", arguments.wait, job.options.wait);
  if (taken) taken = take_duration("--timeout", arguments.timeout, job.limit.longest, some);
  if (taken) taken = take_duration("--kill-after", arguments.kill_after, job.limit.grace);
  if (!taken || arguments.keep_failures.empty()) return taken;
  return take_duration("--keep-failures", arguments.keep_failures, job.keep_failures.emplace());
}

Result<RunJob> job_of(const RunArguments& arguments) {
  RunJob job;
  if (auto lasting = check_lasting(arguments.store); !lasting) return pass(lasting);
  job.where = arguments.store;
  if (arguments.reject && arguments.refresh) {
    return fail(ErrorCode::invalid_argument,
                "--reject and --refresh exclude each other: one leaves the outcome that there is, "
                "and the other replaces it");
  }
  job.reject = arguments.reject;
  job.refresh = arguments.refresh;
  job.layout = arguments.layout;
  auto key = key_of(arguments);
  if (!key) return pass(key);
  job.key = std::move(*key);
  auto command = command_after_dashes();
  if (!command) return pass(command);
  job.command = std::move(*command);
  if (auto taken = take_durations(arguments, job); !taken) return pass(taken);
  job.options.on_abandon = arguments.on_crash == "rerun" ? OnAbandon::rerun : OnAbandon::in_doubt;
  auto asked = ask(job.command, arguments.no_fingerprint, arguments.fields, job.options);
  if (!asked) return pass(asked);
  return job;
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  auto* command = add_command(
      app, context, "run", "Run a command once; to who asks again, say what it said",
      "once run jobs.once --key invoice-42 -- ./send-invoice 42\n"
      "  once run jobs.once --key acme/backup/monday --on-crash rerun -- ./backup.sh\n"
      "  once run jobs.once --key sync-7 --timeout 10m --keep-failures 1h -- ./sync 7\n"
      "  once run jobs.once --key rates-today --refresh -- ./fetch-rates\n"
      "  once run jobs.once --key order-42 --field amount=12.50 --field to=bob -- ./charge "
      "order-42\n"
      "\n"
      "The command finds ONCE_KEY, ONCE_TOKEN and ONCE_ATTEMPT in its environment. Its exit code "
      "is\n"
      "that of `once run`; of its own are 64 usage, 65 the key was used for another command, 70 "
      "in\n"
      "doubt, 73 done already (--reject), 74 the store, 75 busy. With --json the last line of "
      "stderr says\n"
      "what became of the key (status), what came of the command (kind), and where the answer is "
      "from:\n"
      "replayed or not, attempt, token, execution_id, times, and its time_to_live.");
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
  command
      ->add_option("--timeout", arguments->timeout,
                   "End a command that takes longer; it counts as failed, with exit code 124")
      ->type_name("DURATION")
      ->capture_default_str();
  command
      ->add_option("--kill-after", arguments->kill_after,
                   "How long --timeout waits after SIGTERM before it kills")
      ->type_name("DURATION")
      ->capture_default_str();
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
  command->add_flag(
      "--refresh", arguments->refresh,
      "Where there is an outcome already: run again, and replace it. Until then, and\n"
      "if the command fails, it stays what is printed to who asks");
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
