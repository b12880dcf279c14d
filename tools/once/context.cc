#include "context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "supervise/opening.h"
#include "text.h"
#include "writing.h"

namespace once::tool {
namespace {

constexpr std::size_t max_input_bytes = std::size_t{1} << 30;

Result<OpenStore> open(const std::string& where, std::string_view doing, Options options) {
  if (auto lasting = check_lasting(where); !lasting) return pass(lasting);
  options.create_if_missing = false;
  auto bar = std::make_unique<ProgressBar>(doing);
  auto store = supervise::open_store(where, options);
  if (!store) return pass(store);
  return OpenStore(*std::move(store), std::move(bar));
}

}  // namespace

int exit_code(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::limit_exceeded:
      return exit_usage;
    case ErrorCode::mismatch:
      return exit_mismatch;
    case ErrorCode::busy:
      return exit_busy;
    case ErrorCode::in_doubt:
      return exit_in_doubt;
    case ErrorCode::already_done:
      return exit_done;
    case ErrorCode::not_found:
    case ErrorCode::outcome_omitted:
    case ErrorCode::conflict:  // there is nothing to decide: the key is finished
      return exit_none;
    default:
      return exit_store;
  }
}

void say(std::string_view message) {
  ProgressBar::make_way();
  const std::string text = fmt::format("once: {}\n", printable(message, true));
  (void)write_all(STDERR_FILENO, text);  // if it fails the exit code tells
}

CLI::App* add_command(CLI::App& app, Context& context, std::string name, std::string description,
                      const std::string& example) {
  CLI::App* command = app.add_subcommand(std::move(name), std::move(description));
  command->add_flag("--json", context.json, "Print JSON");
  command->footer("Example:\n  " + example);
  return command;
}

void add_store_argument(CLI::App& command, std::string& store) {
  command.add_option("STORE", store, "Path of the store")->required()->type_name("");
  add_network_option(command);
}

void add_network_option(CLI::App& command) {
  command.add_flag_callback("--allow-network-file-system", supervise::allow_network_file_systems,
                            "Also on a file system that others may share (NFS and the like),\n"
                            "where only this machine uses the store");
}

void add_layout_option(CLI::App& command, Layout& layout) {
  command
      .add_option_function<std::string>(
          "--layout",
          [&layout](const std::string& name) {
            layout = name == "file" ? Layout::file : Layout::directory;
          },
          "How a store that is made here is kept; one that is there already is recognised")
      ->check(CLI::IsMember({"file", "directory"}))
      ->default_str(Options{}.layout == Layout::file ? "file" : "directory");
}

std::string not_negative(const std::string& text) {
  return text.starts_with('-') ? "it is not negative" : "";
}

void add_key_argument(CLI::App& command, std::string& key) {
  command.add_option("KEY", key, "tenant/operation/id, or just id; %XX stands for any byte")
      ->required()
      ->type_name("");
}

Result<void> check_lasting(std::string_view where) {
  if (where != "memory:") return {};
  return fail(ErrorCode::invalid_argument,
              "a store in memory: ends with this command, and keeps nothing; give a path");
}

Result<OpenStore> open_to_read(const std::string& where, std::string_view doing, Options options) {
  options.read_only = true;
  options.allow_network_file_system = supervise::basic_options().allow_network_file_system;
  return open(where, doing, options);
}

Result<OpenStore> open_to_write(const std::string& where, std::string_view doing) {
  return open(where, doing, supervise::basic_options());
}

Result<Bytes> read_input(const std::string& file) {
  const bool is_stdin = file == "-";
  const int descriptor = is_stdin ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return fail(ErrorCode::invalid_argument, "cannot open '{}': {}", file, std::strerror(errno));
  }
  Bytes content;
  char buffer[65536];
  ssize_t got = 0;
  while ((got = ::read(descriptor, buffer, sizeof buffer)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    if (content.size() > max_input_bytes) {
      if (!is_stdin) ::close(descriptor);
      return fail(ErrorCode::limit_exceeded, "'{}' is longer than 1 GiB", file);
    }
    content.append(buffer, static_cast<std::size_t>(got));
  }
  const int error = errno;
  if (!is_stdin) ::close(descriptor);
  if (got < 0) {
    return fail(ErrorCode::io, "cannot read '{}': {}", file, std::strerror(error));
  }
  return content;
}

}  // namespace once::tool
