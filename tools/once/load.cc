// once load: makes a store out of what dump printed. All of it or nothing: the store appears when
// its last row is in, and only if the dump's own last line says that these are all.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/error.h"
#include "commands.h"
#include "interrupts.h"
#include "json.h"
#include "once/version.h"
#include "output.h"
#include "progress.h"
#include "supervise/opening.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string from = "-";
  Layout layout = Options{}.layout;
};

// A row holds 1 GiB at most; a longer line is not one, and must not fill the memory.
constexpr std::size_t max_line_bytes = std::size_t{3} << 29;

// Lines of a file, read in blocks.
class Lines {
 public:
  static Result<Lines> open(const std::string& from, const Interrupts& interrupts) {
    const bool is_stdin = from == "-";
    const int file = is_stdin ? STDIN_FILENO : ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      return fail(ErrorCode::invalid_argument, "cannot open '{}': {}", from, std::strerror(errno));
    }
    if (is_stdin && ::isatty(file) == 1) say("reading rows from the terminal; Ctrl-D ends them");
    return Lines(file, !is_stdin, interrupts.descriptor());
  }
  Lines(Lines&& other) noexcept
      : file_(std::exchange(other.file_, -1)),
        owned_(other.owned_),
        interrupts_(other.interrupts_),
        size_(other.size_) {}
  Lines& operator=(Lines&&) = delete;
  ~Lines() {
    if (owned_ && file_ >= 0) ::close(file_);
  }

  // The next line without its newline, valid until the next call; nullopt at the end.
  Result<std::optional<std::string_view>> next() {
    for (;;) {
      const std::size_t newline = buffer_.find('\n', searched_);
      if (newline != std::string::npos || (ended_ && start_ < buffer_.size())) {
        const std::size_t end = std::min(newline, buffer_.size());
        const auto line = std::string_view(buffer_).substr(start_, end - start_);
        start_ = searched_ = std::min(end + 1, buffer_.size());
        return line;
      }
      if (ended_) return std::nullopt;
      buffer_.erase(0, start_);
      start_ = 0;
      searched_ = buffer_.size();
      if (buffer_.size() > max_line_bytes) {
        return fail(ErrorCode::limit_exceeded, "longer than any row can be");
      }
      if (auto got = fill(); !got) return pass(got);
    }
  }

  [[nodiscard]] std::uint64_t bytes_read() const { return read_; }
  // 0 when it cannot be known, as for a pipe.
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  Lines(int file, bool owned, int interrupts)
      : file_(file), owned_(owned), interrupts_(interrupts) {
    struct stat status{};
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
      size_ = static_cast<std::uint64_t>(status.st_size);
    }
  }

  Result<void> fill() {
    const std::size_t block = std::max<std::size_t>(std::size_t{256} << 10, buffer_.size());
    const std::size_t before = buffer_.size();
    buffer_.resize(before + block);
    ssize_t got = -1;
    do {
      // A signal that comes just before read(2) would not end it.
      std::array<pollfd, 2> files{{{file_, POLLIN, 0}, {interrupts_, POLLIN, 0}}};
      (void)::poll(files.data(), files.size(), -1);
      if (Interrupts::caught() != 0) break;
      got = ::read(file_, buffer_.data() + before, block);
    } while (got < 0 && errno == EINTR);
    buffer_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (Interrupts::caught() != 0) return fail(ErrorCode::io, "interrupted");
    if (got < 0) return fail(ErrorCode::io, "cannot be read: {}", std::strerror(errno));
    ended_ = got == 0;
    read_ += static_cast<std::uint64_t>(got);
    return {};
  }

  int file_;
  bool owned_;
  int interrupts_;  // readable when a signal came
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;
  std::string buffer_;
  std::size_t start_ = 0;     // of the line that comes next
  std::size_t searched_ = 0;  // up to here there is no newline after start_
  bool ended_ = false;
};

// Checks that the lines are one whole dump: its end comes last and counts what stood before it, so
// that a dump which failed or was cut off never becomes a store, and two do not become one.
class Completeness {
 public:
  // A line that is a row.
  Result<void> row(const Row& row) {
    if (ended_) {
      return fail(ErrorCode::invalid_argument,
                  "stands after the end of the dump; load one dump, as `once dump` printed it");
    }
    if (std::holds_alternative<StoreRow>(row) && std::exchange(store_, true)) {
      return fail(ErrorCode::invalid_argument,
                  "the second row of the table 'store'; load the dump of one store");
    }
    ++rows_;
    return {};
  }

  Result<void> end(const DumpEnd& end) {
    if (ended_) return fail(ErrorCode::invalid_argument, "the second end of a dump; load one dump");
    if (end.rows != rows_) {
      return fail(ErrorCode::invalid_argument,
                  "the dump ends after {}, but {} stood before; make it again with `once dump`",
                  counted(end.rows, "row"), rows_);
    }
    ended_ = true;
    return {};
  }

  // After the last line.
  [[nodiscard]] Result<void> finish() const {
    if (ended_) return {};
    return fail(
        ErrorCode::invalid_argument,
        "the dump is cut off: after {} its last line is missing, which is "
        "{{\"table\":\"end\",\"rows\":...}}; make it again with `once dump`, and see whether "
        "that failed; nothing was loaded",
        counted(rows_, "row"));
  }

  [[nodiscard]] std::uint64_t rows() const { return rows_; }

 private:
  std::uint64_t rows_ = 0;
  bool store_ = false;
  bool ended_ = false;
};

Result<void> check_format(const Row& row) {
  const auto* store = std::get_if<StoreRow>(&row);
  if (store == nullptr || store->format <= store_format) return {};
  return fail(ErrorCode::newer_format,
              "the dump is of a store of format {}, and this version of once ({}) knows formats up "
              "to {}; use a newer version",
              store->format, version, store_format);
}

Result<void> add_line(std::string_view text, Completeness& completeness, Loader& loader) {
  auto line = parse_line(text);
  if (!line) return pass(line);
  if (const auto* end = std::get_if<DumpEnd>(&*line)) return completeness.end(*end);
  const Row& row = std::get<Row>(*line);
  if (auto one = completeness.row(row); !one) return one;
  if (auto known = check_format(row); !known) return known;
  return loader.add(row);
}

// Adds every row to `loader`, and gives their number. What is wrong with a line is told with its
// number.
Result<std::uint64_t> add_all(Lines& lines, Loader& loader, ProgressBar& bar) {
  Completeness completeness;
  for (std::uint64_t number = 1;; ++number) {
    const auto in_line = [&](Error error) {
      error.message = fmt::format("line {}: {}; nothing was loaded", number, error.message);
      return std::unexpected(std::move(error));
    };
    auto line = lines.next();
    if (!line) return in_line(line.error());
    if (!*line) break;
    if (auto added = add_line(**line, completeness, loader); !added) return in_line(added.error());
    if (Interrupts::caught() != 0)
      return in_line({.code = ErrorCode::io, .message = "interrupted"});
    bar.tell(lines.size() != 0 ? lines.bytes_read() : number, lines.size(),
             lines.size() != 0 ? "bytes" : "rows");
  }
  if (auto whole = completeness.finish(); !whole) return pass(whole);
  return completeness.rows();
}

Result<std::uint64_t> load_rows(const Arguments& arguments, const Interrupts& interrupts) {
  auto lines = Lines::open(arguments.from, interrupts);
  if (!lines) return pass(lines);
  Options options = supervise::basic_options();
  options.layout = arguments.layout;
  // Whatever an application was allowed to keep must come back.
  options.max_outcome_bytes = std::numeric_limits<std::uint32_t>::max();
  options.max_event_bytes = std::numeric_limits<std::uint32_t>::max();
  ProgressBar bar("loading");
  auto loader = Loader::create(arguments.store, options);
  if (!loader) return pass(loader);
  auto count = add_all(*lines, *loader, bar);
  if (!count) return count;
  if (auto finished = loader->finish(); !finished) return pass(finished);
  return count;
}

void load(const Arguments& arguments, Context& context) {
  // Ctrl-C leaves nothing behind either.
  Result<std::uint64_t> count = 0;
  {
    const Interrupts interrupts;
    count = load_rows(arguments, interrupts);
  }
  if (!count && Interrupts::caught() != 0) {
    say("interrupted; nothing was loaded");
    Interrupts::die();
  }
  if (!count) return context.fail(count.error());
  Output out;
  if (context.json) {
    out.line(to_line({{"store", text_json(arguments.store)}, {"rows", *count}}));
  } else {
    out.line(fmt::format("loaded {} into {}", counted(*count, "row"), arguments.store));
  }
  out.finish(context);
}

}  // namespace

void add_load(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(app, context, "load", "Make a store out of what dump --format jsonl printed",
                  "once dump payments.once | once load copy.once");
  add_store_argument(*command, arguments->store);
  command->add_option("--from", arguments->from, "Read this file instead of stdin")
      ->type_name("FILE");
  add_layout_option(*command, arguments->layout);
  command->callback([arguments, &context] { load(*arguments, context); });
}

}  // namespace once::tool
