// What all subcommands of the tool share: the global flags, the exit code, and how they open stores
// and tell about errors.
//
//   void add_get(CLI::App& app, Context& context) {
//     auto* command = add_command(app, context, "get", "Print ...", "once get payments.once a");
//     command->callback([&context] { context.exit_code = ...; });
//   }
//
// Exit codes: 0 done; 1 there is none, nothing to decide, or verify found problems; 64 the command
// line or the input is at fault; 65 the key was used for another question; 70 in doubt; 73 there is
// an outcome already; 74 the store, or writing the output, failed; 75 busy.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "once/error.h"
#include "once/store.h"
#include "progress.h"

namespace once::tool {

inline constexpr int exit_ok = 0;
inline constexpr int exit_none = 1;
inline constexpr int exit_usage = 64;
inline constexpr int exit_mismatch = 65;
inline constexpr int exit_in_doubt = 70;
inline constexpr int exit_done = 73;
inline constexpr int exit_store = 74;
inline constexpr int exit_busy = 75;

// The exit code that stands for `error`.
[[nodiscard]] int exit_code(const Error& error);

// Writes `once: <message>` to stderr. Control characters are shown, not sent to the terminal.
void say(std::string_view message);

struct Context {
  bool json = false;  // --json, before or after the subcommand
  int exit_code = exit_ok;

  // say()s what went wrong and sets the exit code.
  void fail(const Error& error) { fail(tool::exit_code(error), error.message); }
  void fail(int code, std::string_view message) {
    say(message);
    exit_code = code;
  }
};

// A subcommand with --json and, at the end of its --help, `example`.
CLI::App* add_command(CLI::App& app, Context& context, std::string name, std::string description,
                      const std::string& example);

// The STORE that every subcommand but `key` begins with, and --allow-network-file-system.
void add_store_argument(CLI::App& command, std::string& store);

// --allow-network-file-system alone, for subcommands that call their stores something else.
void add_network_option(CLI::App& command);

// --layout, for subcommands that make a store where there is none.
void add_layout_option(CLI::App& command, Layout& layout);

// For the check() of an option that counts: without it CLI11 reads -1 as the largest number.
[[nodiscard]] std::string not_negative(const std::string& text);

// The KEY, in its written form.
void add_key_argument(CLI::App& command, std::string& key);

// Refuses `memory:`: it would end with the tool, so that nothing in it ever keeps a second one from
// happening. Errors: invalid_argument. To be asked before anything is done; opening asks it too.
[[nodiscard]] Result<void> check_lasting(std::string_view where);

// A store, and the bar for what is done with it: from before the store is opened, so that waiting
// for it shows, until this is gone.
class OpenStore : public Store {
 public:
  OpenStore(Store store, std::unique_ptr<ProgressBar> bar)
      : Store(std::move(store)), bar_(std::move(bar)) {}
  [[nodiscard]] ProgressBar& bar() { return *bar_; }

 private:
  std::unique_ptr<ProgressBar> bar_;
};

// For looking: takes no lock, changes nothing, works while an application holds the store. `doing`
// is what the bar says; of `options` whatever else is said there counts.
[[nodiscard]] Result<OpenStore> open_to_read(const std::string& where, std::string_view doing,
                                             Options options = {});
// For changing what is there: a mistyped path must not make a store.
[[nodiscard]] Result<OpenStore> open_to_write(const std::string& where, std::string_view doing);

// Everything in `file`; "-" stands for stdin. Errors: invalid_argument (cannot be opened),
// limit_exceeded (over 1 GiB), io.
[[nodiscard]] Result<Bytes> read_input(const std::string& file);

}  // namespace once::tool
