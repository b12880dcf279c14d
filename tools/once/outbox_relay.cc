// once outbox relay: delivers events, until interrupted or, with --once, what is due now.
//
// A store belongs to one process at a time. So the relay watches the store's files and looks at it
// as a reader when they change, or after --poll where no change is told of; only when something is
// due does it open the store for writing, delivers for a while and closes it again. Applications
// that open the store for a moment at a time go on meanwhile. As long as a backlog lasts there is
// no need to look: each opening sees what is left of it.
#include "outbox_relay.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "duration.h"
#include "interrupts.h"
#include "json.h"
#include "once/outbox.h"
#include "once/webhook.h"
#include "output.h"
#include "supervise/patient_store.h"
#include "watch.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string to;
  bool once = false;
  bool skip_dead = false;
  bool no_sync = false;
  std::string mode = "structured";
  std::string source = "/once";
  std::vector<std::string> headers;
  std::string secret_file;
  std::string timeout = "30s";
  std::string initial = "1s";
  std::string max = "5m";
  std::string keep = "7d";
  std::string poll = "1h";
  RelayOptions options{};
};

bool is_url(const std::string& to) {
  return to.starts_with("http://") || to.starts_with("https://");
}

// Looking opens the store each time.
constexpr Duration least_poll = std::chrono::milliseconds(100);

Result<RelayOptions> relay_options(const Arguments& arguments) {
  RelayOptions options = arguments.options;
  auto taken = take_duration("--initial", arguments.initial, options.backoff.initial);
  if (taken) taken = take_duration("--max", arguments.max, options.backoff.max);
  if (taken) taken = take_duration("--keep", arguments.keep, options.retention);
  if (taken) taken = take_duration("--poll", arguments.poll, options.poll_interval, least_poll);
  if (!taken) return pass(taken);
  if (arguments.skip_dead) options.after_dead_letter = AfterDeadLetter::skip;
  return options;
}

Result<WebhookOptions> webhook_options(const Arguments& arguments) {
  WebhookOptions options{.url = arguments.to, .source = arguments.source};
  if (arguments.mode == "binary") options.mode = CloudEventMode::binary;
  auto taken = take_duration("--timeout", arguments.timeout, options.timeout);
  if (!taken) return pass(taken);
  options.connect_timeout = std::min(options.connect_timeout, options.timeout);
  for (const std::string& header : arguments.headers) {
    const std::size_t colon = header.find(':');
    const std::size_t value = header.find_first_not_of(' ', colon + 1);
    if (colon == std::string::npos || value == std::string::npos) {
      // Not shown: it may be a secret.
      return fail(ErrorCode::invalid_argument, "--header takes \"NAME: VALUE\"");
    }
    options.headers[header.substr(0, colon)] = header.substr(value);
  }
  if (!arguments.secret_file.empty()) {
    auto secret = read_input(arguments.secret_file);
    if (!secret) return pass(secret);
    options.secret = secret->substr(0, secret->find_last_not_of("\r\n") + 1);
    if (options.secret.empty()) {
      return fail(ErrorCode::invalid_argument, "the file of --secret-file is empty");
    }
  }
  return options;
}

Result<std::unique_ptr<Publisher>> publisher(const Arguments& arguments) {
  if (!is_url(arguments.to) && arguments.to.find("://") != std::string::npos) {
    return fail(ErrorCode::invalid_argument,
                "--to: events are posted to http:// and https:// only, not to {}", arguments.to);
  }
  if (!is_url(arguments.to)) {
    return json_lines_publisher(arguments.to,
                                {.sync = !arguments.no_sync, .source = arguments.source});
  }
  auto options = webhook_options(arguments);
  if (!options) return pass(options);
  return webhook_publisher(*options);
}

// A publisher that outlives the relays of single rounds, and `bar`, which tells how many were
// handed to it. With `to_terminal` events are printed where the bar may be.
class Borrowed final : public Publisher {
 public:
  Borrowed(Publisher& owner, ProgressBar& bar, bool to_terminal)
      : owner_(owner), bar_(bar), to_terminal_(to_terminal) {}
  Result<void> publish(const Event& event) override {
    bar_.tell(++count_, 0, "events");
    if (to_terminal_) ProgressBar::make_way();
    return owner_.publish(event);
  }
  Result<void> flush() override { return owner_.flush(); }
  [[nodiscard]] std::size_t at_once() const override { return owner_.at_once(); }

 private:
  Publisher& owner_;
  ProgressBar& bar_;
  const bool to_terminal_;
  std::atomic<std::uint64_t> count_ = 0;  // from as many threads as there are at once
};

// What there is to do, as a reader sees it.
struct Look {
  bool due = false;                   // something could be delivered now
  std::optional<Duration> next{};     // until something else can
  std::optional<Error> unreadable{};  // the first event that is passed over
};

Result<Look> look(const std::string& where, AfterDeadLetter after_dead_letter) {
  auto store = open_to_read(where, "looking for events");
  if (!store) return pass(store);
  Outbox outbox(*store);
  Look found;
  std::optional<Time> now;  // of the store; asked for only when an event waits for its time
  Result<void> asked;
  std::set<std::pair<std::string, std::string>> held;  // aggregates that cannot go on
  const auto visit = [&](const Event& event) {
    std::pair aggregate(event.aggregate_type, event.aggregate_id);
    const bool alone = aggregate.first.empty() && aggregate.second.empty();
    if (!alone && held.contains(aggregate)) return true;
    const bool pending = event.status == EventStatus::pending;
    if (pending && event.next_attempt_at != Time{} && !now) {
      auto lag = outbox.lag();
      if (!lag) {
        asked = pass(lag);
        return false;
      }
      now = lag->oldest + lag->oldest_age;
    }
    if (pending && (event.next_attempt_at == Time{} || event.next_attempt_at <= *now)) {
      found.due = true;
      return false;
    }
    if (pending) {
      found.next = std::min(found.next.value_or(Duration::max()), event.next_attempt_at - *now);
    }
    if (!alone && (pending || after_dead_letter == AfterDeadLetter::block)) {
      held.insert(std::move(aggregate));
    }
    return true;
  };
  auto visited = outbox.unsettled(visit, [&](std::uint64_t, const Error& error) {
    if (!found.unreadable) found.unreadable = error;
    return true;
  });
  if (!visited) return pass(visited);
  if (!asked) return pass(asked);
  return found;
}

// Between two rounds, so that others get at the store too.
constexpr Duration least_rest = std::chrono::milliseconds(20);

// Waits for a change of the store (or, without `watch`, not for that), at most `longest`.
Result<void> wait(const Interrupts& interrupts, Watch* watch, Duration longest) {
  std::array<pollfd, 2> files{{{interrupts.descriptor(), POLLIN, 0},
                               {watch == nullptr ? -1 : watch->descriptor(), POLLIN, 0}}};
  const Duration most = std::min<Duration>(longest, std::chrono::hours(24));
  const int ready = ::poll(files.data(), files.size(), static_cast<int>(most.count()));
  if (ready >= 0 || errno == EINTR) return {};
  return fail(ErrorCode::io, "cannot wait for changes: {}", std::strerror(errno));
}

// While it lives, a signal that asks us to end stops the relay after the event under way.
class StopOnSignal {
 public:
  StopOnSignal(Relay& relay, const Interrupts& interrupts)
      : over_(::eventfd(0, EFD_CLOEXEC)), thread_([this, &relay, &interrupts] {
          std::array<pollfd, 2> files{{{interrupts.descriptor(), POLLIN, 0}, {over_, POLLIN, 0}}};
          while (::poll(files.data(), files.size(), -1) < 0 && errno == EINTR) {
          }
          if ((files[0].revents & POLLIN) != 0) (void)relay.stop();
        }) {}
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  ~StopOnSignal() {
    const std::uint64_t one = 1;
    (void)!::write(over_, &one, sizeof one);
    thread_.join();
    ::close(over_);
  }

 private:
  const int over_;
  std::thread thread_;
};

// So long the store is held at a time; a batch that takes longer is not cut off.
constexpr Duration longest_hold = std::chrono::milliseconds(500);

struct Delivered {
  DeliveryReport report{};
  bool all = true;                    // that was due
  std::optional<Error> unreadable{};  // the first event that was passed over
};

// Delivers with the store open for writing: for a while, or, with --once, all that is due.
Result<Delivered> deliver(const Arguments& arguments, const RelayOptions& options, Publisher& to,
                          const Interrupts& interrupts) {
  ProgressBar bar("delivering");
  auto store = supervise::open_patiently(arguments.store, std::nullopt,
                                         [] { return Interrupts::caught() != 0; });
  if (!store) return pass(store);
  const bool to_terminal = arguments.to == "-" && ::isatty(STDOUT_FILENO) == 1;
  auto relay = Relay::create(*store, std::make_unique<Borrowed>(to, bar, to_terminal), options);
  if (!relay) return pass(relay);
  const auto clock = system_clock();
  const Duration begin = clock->since_boot();
  Result<DeliveryReport> done;
  {
    const StopOnSignal stop(**relay, interrupts);
    if (Interrupts::caught() == 0) {
      done = (*relay)->deliver_now(0, arguments.once ? forever : longest_hold);
    }
  }
  // It may have just been done in that time: then the next one finds nothing.
  const bool all = arguments.once || clock->since_boot() - begin < longest_hold;
  auto unreadable = (*relay)->status().error;
  relay->reset();
  if (auto closed = store->close(); !closed && done) return pass(closed);
  if (!done) return pass(done);
  return Delivered{.report = *done, .all = all, .unreadable = std::move(unreadable)};
}

// Tells what was done: on stdout, or, where events go there, on stderr.
bool tell(const Arguments& arguments, bool json, const DeliveryReport& done, Output& out) {
  const std::string text =
      json
          ? to_line({{"delivered", done.delivered}, {"failed", done.failed}, {"dead", done.dead}})
          : fmt::format("{} delivered, {} failed, {} dead", done.delivered, done.failed, done.dead);
  if (arguments.to != "-") {
    out.line(text);
    return out.flush();
  }
  if (!json) say(text);
  return true;
}

// With --once: everything that is due, and whether something failed.
Result<Delivered> deliver_once(const Arguments& arguments, const RelayOptions& options,
                               Publisher& to, const Interrupts& interrupts) {
  auto found = look(arguments.store, options.after_dead_letter);
  if (!found) return pass(found);
  if (!found->due) return Delivered{.unreadable = std::move(found->unreadable)};
  return deliver(arguments, options, to, interrupts);
}

Result<void> deliver_on(const Arguments& arguments, const RelayOptions& options, Publisher& to,
                        const Interrupts& interrupts, bool json, Output& out) {
  auto watch = Watch::open(arguments.store);
  if (!watch) return pass(watch);
  bool more = false;  // was due when it had to stop
  std::string told;   // of an event that cannot be read: once, and not each round
  while (Interrupts::caught() == 0) {
    Look found{.due = true};
    if (!more) {
      if (auto taken = watch->take(); !taken) return pass(taken);
      if (auto again = watch->look_again(); !again) return again;
      auto looked = look(arguments.store, options.after_dead_letter);
      if (!looked) return pass(looked);
      found = *looked;
    }
    DeliveryReport done;
    if (found.due) {
      auto delivered = deliver(arguments, options, to, interrupts);
      if (!delivered && Interrupts::caught() != 0) return {};
      if (!delivered) return pass(delivered);
      done = delivered->report;
      more = !delivered->all;
      found.unreadable = std::move(delivered->unreadable);
    }
    if (found.unreadable && found.unreadable->message != told) {
      told = found.unreadable->message;
      say(told);
    }
    const bool worked = done.delivered + done.failed + done.dead != 0;
    if (worked && !tell(arguments, json, done, out)) return {};
    if (worked && arguments.to == "-" && done.delivered == 0) {
      return fail(ErrorCode::io, "the standard output takes no events; they stay where they are");
    }
    if (!found.due) {
      const Duration longest = std::min(found.next.value_or(forever), options.poll_interval);
      if (auto woken = wait(interrupts, &*watch, longest); !woken) return woken;
    }
    if (auto rested = wait(interrupts, nullptr, least_rest); !rested) return rested;
  }
  return {};
}

void relay(const Arguments& arguments, Context& context) {
  const auto options = relay_options(arguments);
  if (!options) return context.fail(options.error());
  // Before a file is made for the events of a store that is not there.
  if (auto seen = look(arguments.store, options->after_dead_letter);
      !seen && !is_url(arguments.to)) {
    return context.fail(seen.error());
  }
  auto to = publisher(arguments);
  if (!to) return context.fail(to.error());
  Output out;
  const Interrupts interrupts;
  if (!arguments.once) {
    const auto done = deliver_on(arguments, *options, **to, interrupts, context.json, out);
    out.finish(context);
    if (!done) context.fail(done.error());
    return;
  }
  const auto done = deliver_once(arguments, *options, **to, interrupts);
  if (done) tell(arguments, context.json, done->report, out);
  out.finish(context);
  if (!done) return context.fail(done.error());
  if (done->report.failed + done->report.dead != 0) context.exit_code = exit_none;
  if (done->unreadable) context.fail(*done->unreadable);
}

void add_policy(CLI::App& command, Arguments& arguments) {
  command.add_option("--initial", arguments.initial, "Wait so long after a first failure")
      ->type_name("DURATION")
      ->capture_default_str();
  command.add_option("--max", arguments.max, "And never longer than this")
      ->type_name("DURATION")
      ->capture_default_str();
  command
      .add_option("--multiplier", arguments.options.backoff.multiplier,
                  "Wait so many times as long after each further one")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--jitter", arguments.options.backoff.jitter,
                  "The part of the wait that is random, 0 to 1")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--max-retries", arguments.options.max_retries, "Then it is a dead letter")
      ->type_name("N")
      ->check(not_negative)
      ->capture_default_str();
  command.add_flag("--skip-dead", arguments.skip_dead,
                   "Go on with an aggregate that has a dead letter");
  command.add_option("--keep", arguments.keep, "Keep delivered events so long")
      ->type_name("DURATION")
      ->capture_default_str();
  command
      .add_option("--poll", arguments.poll,
                  "Look so often at least, where nothing tells that the store has changed")
      ->type_name("DURATION")
      ->capture_default_str();
  command.add_option("--batch", arguments.options.batch, "Note so many as delivered at a time")
      ->type_name("N")
      ->check(not_negative)
      ->capture_default_str();
  command.add_option("--at-once", arguments.options.at_once, "Post so many at the same time")
      ->type_name("N")
      ->check(not_negative)
      ->capture_default_str();
}

}  // namespace

void add_relay(CLI::App& outbox, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(
      outbox, context, "relay", "Deliver events, until interrupted",
      "once outbox relay payments.once --to https://shop.example/events --secret-file hook.key\n"
      "  once outbox relay payments.once --to /var/log/events.jsonl --poll 5s");
  add_store_argument(*command, arguments->store);
  command->add_option("--to", arguments->to, "An URL, a file for JSON lines, or - for stdout")
      ->required()
      ->type_name("WHERE");
  command->add_flag("--once", arguments->once, "Deliver what is due now, and end");
  add_policy(*command, *arguments);
  command->add_option("--mode", arguments->mode, "How a CloudEvent is sent: structured, binary")
      ->type_name("M")
      ->check(CLI::IsMember({"structured", "binary"}))
      ->capture_default_str();
  command->add_option("--source", arguments->source, "The CloudEvents' source")
      ->type_name("URI")
      ->capture_default_str();
  command
      ->add_option("--header", arguments->headers, "Sent along, \"NAME: VALUE\"; may be repeated")
      ->type_name("HEADER")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command
      ->add_option("--secret-file", arguments->secret_file,
                   "Sign requests with what is in FILE (Standard Webhooks); - reads stdin")
      ->type_name("FILE");
  command->add_option("--timeout", arguments->timeout, "How long a request may take")
      ->type_name("DURATION")
      ->capture_default_str();
  command->add_flag("--no-sync", arguments->no_sync, "Do not sync the file of JSON lines");
  command->callback([arguments, &context] { relay(*arguments, context); });
}

}  // namespace once::tool
