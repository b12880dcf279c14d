// once top: what happens in a store, live, while an application writes to it.
//
// A store opened to look shows what was there when it was opened. So a look is: open, count the
// rows, read the history that is newer than at the look before, close. What happened in between,
// over the time in between, gives what is shown per second; the writer is not asked and not held
// up. Looking takes at most a fifth of a processor: after a long look comes a longer pause.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "commands.h"
#include "duration.h"
#include "interrupts.h"
#include "model/numbers.h"
#include "output.h"
#include "screen.h"
#include "text.h"
#include "top_view.h"

namespace once::tool {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int rest_for_work = 4;
constexpr std::string_view counting = "counting";  // what the bar says
constexpr Duration least_interval = std::chrono::milliseconds(100);

struct Arguments {
  std::string store;
  std::string interval = "2s";
  std::uint64_t count = 0;  // 0: until told to stop
  std::string by = "both";
  std::string sort = "active";
};

// Looks at a store again and again.
class Looking {
 public:
  explicit Looking(std::string where) : where_(std::move(where)) {}

  // `doing` is what a bar says meanwhile; empty: there is none, since the screen is taken.
  Result<Sample> look(std::string_view doing) {
    const auto begin = SteadyClock::now();
    auto store = open_to_read(where_, doing);
    if (!store) return pass(store);
    Sample sample{.taken_at = system_clock()->wall()};
    auto stats = store->stats();
    if (!stats) return pass(stats);
    sample.stats = std::move(*stats);
    // The first time only where the history ends is of interest. It is of this opening.
    if (!before_) after_ = std::max(after_, model::number_before(sample.stats.opening) - 1);
    auto read =
        store->history({.key = std::nullopt, .after = after_}, [&](const HistoryEntry& entry) {
          after_ = std::max(after_, entry.sequence);
          if (before_) count(sample, entry);
          return true;
        });
    if (!read) return pass(read);
    if (before_) sample.elapsed = std::chrono::ceil<Duration>(begin - *before_);
    before_ = begin;
    took_ = SteadyClock::now() - begin;
    return sample;
  }
  // How long to wait after the last look.
  [[nodiscard]] SteadyClock::duration pause(Duration interval) const {
    return std::max<SteadyClock::duration>(interval - took_, rest_for_work * took_);
  }

 private:
  static void count(Sample& sample, const HistoryEntry& entry) {
    const auto what = static_cast<std::size_t>(entry.what);
    if (what >= sample.happened.size()) return;
    ++sample.happened[what];
    ++sample.by_label[{entry.key.tenant, entry.key.operation}][what];
  }

  const std::string where_;
  std::uint64_t after_ = 0;  // the last sequence of the history that was seen
  std::optional<SteadyClock::time_point> before_;
  SteadyClock::duration took_{};
};

Result<Sort> parse_sort(std::string_view text) {
  Sort sort = Sort::name;
  do {
    std::string name(to_string(sort));
    std::ranges::replace(name, ' ', '-');
    if (name == text || (sort == Sort::done && text == "done")) return sort;
    sort = next(sort);
  } while (sort != Sort::name);
  return fail(ErrorCode::invalid_argument,
              "'{}' is none of name, active, in-progress, done, failed, in-doubt and bytes", text);
}

enum class Woken { time, key, ended };

// Waits until `deadline`, a key, or a signal; a change of the window's size counts as a key.
// `screen` may be null.
Woken wait(const Interrupts& interrupts, const Screen* screen, SteadyClock::time_point deadline) {
  std::array<pollfd, 4> files{{{interrupts.descriptor(), POLLIN, 0},
                               {STDOUT_FILENO, 0, 0},  // errors are always told
                               {screen ? screen->descriptor() : -1, POLLIN, 0},
                               {screen ? screen->resized_descriptor() : -1, POLLIN, 0}}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
  const int timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
  const int ready = ::poll(files.data(), files.size(), timeout);
  if (Interrupts::caught() != 0) return Woken::ended;
  if (ready < 0) return errno == EINTR ? Woken::key : Woken::ended;
  if (ready == 0) return Woken::time;
  if ((files[1].revents & (POLLERR | POLLHUP)) != 0) return Woken::ended;
  if ((files[2].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return Woken::ended;
  return Woken::key;
}

// Prints a snapshot after the other, for programs and files.
Result<void> print(Looking& looking, const TopView& view, Duration interval, std::uint64_t count,
                   Output& out, bool json) {
  const Interrupts interrupts;
  for (std::uint64_t i = 0; count == 0 || i < count; ++i) {
    if (i != 0) {
      const auto deadline = SteadyClock::now() + looking.pause(interval);
      Woken woken = Woken::key;
      while (woken == Woken::key) woken = wait(interrupts, nullptr, deadline);
      if (woken == Woken::ended) return {};
    }
    auto sample = looking.look(counting);
    if (!sample) return pass(sample);
    if (json) {
      out.line(to_line(to_json(*sample, view)));
    } else {
      if (i != 0) out.line("");
      for (const std::string& line : plain_lines(*sample, view)) out.line(line);
    }
    if (!out.flush()) return {};
  }
  return {};
}

// What a key changes. False: the end.
bool press(char key, TopView& view, bool& look_now) {
  switch (key) {
    case 'q':
    case 'Q':
    case '\x03':
    case '\x04':
      return false;
    case 's':
      view.sort = next(view.sort);
      return true;
    case 'r':
      view.reverse = !view.reverse;
      return true;
    case 'b':
      view.by = view.by == By::both ? By::tenant : view.by == By::tenant ? By::operation : By::both;
      return true;
    case ' ':
      look_now = true;
      return true;
    default:
      return true;
  }
}

bool draw(Screen& screen, const Output& out, const Sample& sample, const TopView& view,
          const std::string& trouble) {
  const Screen::Size size = Screen::size();
  std::vector<std::string> lines = top_lines(out, sample, view, size.columns);
  if (lines.size() >= size.rows) lines.resize(std::max<std::size_t>(size.rows, 1) - 1);
  const std::string keys =
      fmt::format("q quit  s sort ({}{})  r reverse  b by tenant, operation or both  space now",
                  to_string(view.sort), view.reverse ? ", reversed" : "");
  lines.push_back(trouble.empty() ? out.paint(Colour::dim, cut(keys, size.columns))
                                  : out.paint(Colour::red, cut(printable(trouble), size.columns)));
  return screen.show(lines);
}

Result<void> live(Looking& looking, TopView view, Duration interval, std::uint64_t count,
                  const Output& out) {
  const Interrupts interrupts;
  // Before the screen is taken over: the error is told where it stays.
  auto sample = looking.look(counting);
  if (!sample) return pass(sample);
  Screen screen;
  std::string trouble;
  for (std::uint64_t looks = 1;; ++looks) {
    auto deadline = SteadyClock::now() + looking.pause(interval);
    bool look_now = false;
    while (!look_now) {
      if (!draw(screen, out, *sample, view, trouble)) return {};
      const Woken woken = wait(interrupts, &screen, deadline);
      if (woken == Woken::ended) return {};
      if (woken == Woken::time) break;
      while (const auto key = screen.key()) {
        if (!press(*key, view, look_now)) return {};
      }
    }
    if (count != 0 && looks >= count) return {};
    auto fresh = looking.look("");
    // It may pass: the store may be moved or made anew.
    trouble = fresh ? "" : fresh.error().message;
    if (fresh) sample = std::move(fresh);
  }
}

void top(const Arguments& arguments, Context& context) {
  const auto interval = parse_duration(arguments.interval);
  if (!interval) return context.fail(interval.error());
  if (*interval < least_interval) {
    return context.fail(exit_usage, "looking more often than every 100ms tells nothing more");
  }
  const auto by = parse_by(arguments.by);
  if (!by) return context.fail(by.error());
  const auto sort = parse_sort(arguments.sort);
  if (!sort) return context.fail(sort.error());
  const TopView view{.store = arguments.store, .by = *by, .sort = *sort};
  Output out;
  Looking looking(arguments.store);
  Result<void> done;
  if (out.terminal() && !context.json) {
    done = live(looking, view, *interval, arguments.count, out);
  } else {
    // Where nobody can press q, one is enough unless more were asked for.
    const bool endless = context.json && out.terminal();
    const std::uint64_t count = arguments.count != 0 || endless ? arguments.count : 1;
    done = print(looking, view, *interval, count, out, context.json);
  }
  out.finish(context);
  if (!done) context.fail(done.error());
}

}  // namespace

void add_top(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "top", "Show live what happens in a store",
                              "once top payments.once --interval 1s --by tenant");
  add_store_argument(*command, arguments->store);
  command->add_option("--interval", arguments->interval, "How often to look (2s)")
      ->type_name("TIME");
  command->add_option("--count", arguments->count, "Look so often, then end")
      ->type_name("N")
      ->check(not_negative);
  command->add_option("--by", arguments->by, "A line for each: tenant, operation, or both together")
      ->type_name("WHAT");
  command
      ->add_option("--sort", arguments->sort,
                   "By name, active, in-progress, done, failed, in-doubt or bytes")
      ->type_name("COLUMN");
  command->callback([arguments, &context] { top(*arguments, context); });
}

}  // namespace once::tool
