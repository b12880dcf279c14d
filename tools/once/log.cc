// once log: what happened, oldest first; with --follow also what happens from now on.
//
// A store opened to look shows what was there when it was opened. So following means: watch the
// store's files, open, print what is newer than what was printed, close, wait for a change. The
// watch begins before the store is opened, so that nothing falls between; entries are told apart by
// their sequence, so that nothing is printed twice.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/error.h"
#include "commands.h"
#include "interrupts.h"
#include "json.h"
#include "model/numbers.h"
#include "output.h"
#include "row_text.h"
#include "watch.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::optional<std::string> key{};
  bool follow = false;
};

using SteadyClock = std::chrono::steady_clock;

// A busy store changes all the time. Opening it again takes at most this share of a processor.
constexpr int rest_for_work = 4;
constexpr auto least_rest = std::chrono::milliseconds(20);

// What was printed last, or 0 where another store stands in the place of the one that it was of: a
// sequence is made of the number of the opening that gave it, in its upper 40 bits, and so is none
// of a store that was not opened as often.
Result<std::uint64_t> last_printed(Store& store, std::uint64_t after) {
  std::uint64_t opening = 0;
  auto seen = store.rows(Table::all, [&](const Row& row) {
    if (const auto* own = std::get_if<StoreRow>(&row)) opening = own->opening;
    return false;
  });
  if (!seen) return pass(seen);
  return model::opening_of(after) > opening ? 0 : after;
}

// Prints what is newer than `options.after` and moves it on.
Result<void> print_new(const std::string& where, HistoryOptions& options, Output& out, bool json) {
  auto store = open_to_read(where, "reading the history");
  if (!store) return pass(store);
  auto last = last_printed(*store, options.after);
  if (!last) return pass(last);
  options.after = *last;
  std::uint64_t count = 0;
  auto done = store->history(options, [&](const HistoryEntry& entry) {
    store->bar().tell(++count, 0, "rows");
    options.after = entry.sequence;
    return out.line(json ? to_line(to_json(entry)) : history_text(out, entry));
  });
  out.flush();
  return done;
}

enum class Woken { changed, rested, ended };

// Waits for a change, or, when `deadline` is given, for that moment alone. Ends for a signal, and
// when nobody reads the output any more.
Result<Woken> wait(Watch& watch, const Interrupts& interrupts,
                   const SteadyClock::time_point* deadline) {
  for (;;) {
    std::array<pollfd, 3> files{{{interrupts.descriptor(), POLLIN, 0},
                                 {STDOUT_FILENO, 0, 0},  // errors are always told
                                 {deadline == nullptr ? watch.descriptor() : -1, POLLIN, 0}}};
    int timeout = -1;
    if (deadline != nullptr) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*deadline - SteadyClock::now());
      timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    const int ready = ::poll(files.data(), files.size(), timeout);
    if (Interrupts::caught() != 0) return Woken::ended;
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail(ErrorCode::io, "cannot wait for changes: {}", std::strerror(errno));
    if ((files[1].revents & (POLLERR | POLLHUP)) != 0) return Woken::ended;
    if (ready == 0) return Woken::rested;
    auto changed = watch.take();
    if (!changed) return pass(changed);
    if (*changed) return Woken::changed;
  }
}

Result<void> follow(const Arguments& arguments, HistoryOptions& options, Output& out, bool json) {
  const Interrupts interrupts;
  auto watch = Watch::open(arguments.store);
  if (!watch) return pass(watch);
  for (;;) {
    const auto begin = SteadyClock::now();
    if (auto taken = watch->take(); !taken) return pass(taken);
    if (auto more = watch->look_again(); !more) return more;
    if (auto printed = print_new(arguments.store, options, out, json); !printed) return printed;
    const auto end = SteadyClock::now();
    if (!out.flush()) return {};
    auto woken = wait(*watch, interrupts, nullptr);
    if (!woken) return pass(woken);
    if (*woken == Woken::ended) return {};
    const auto rested =
        end + std::max<SteadyClock::duration>(least_rest, rest_for_work * (end - begin));
    woken = wait(*watch, interrupts, &rested);
    if (!woken) return pass(woken);
    if (*woken == Woken::ended) return {};
  }
}

void log(const Arguments& arguments, Context& context) {
  if (auto lasting = check_lasting(arguments.store); !lasting) {
    return context.fail(lasting.error());
  }
  HistoryOptions options;
  if (arguments.key) {
    auto key = Key::parse(*arguments.key);
    if (!key) return context.fail(key.error());
    options.key = *std::move(key);
  }
  Output out;
  const auto done = arguments.follow ? follow(arguments, options, out, context.json)
                                     : print_new(arguments.store, options, out, context.json);
  out.finish(context);
  if (!done) context.fail(done.error());
}

}  // namespace

void add_log(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "log", "Print what happened to keys, oldest first",
                              "once log payments.once --key acme/charge/order-42 --follow");
  add_store_argument(*command, arguments->store);
  command->add_option("--key", arguments->key, "Only of this key")->type_name("KEY");
  command->add_flag("-f,--follow", arguments->follow, "Go on printing what happens");
  command->callback([arguments, &context] { log(*arguments, context); });
}

}  // namespace once::tool
