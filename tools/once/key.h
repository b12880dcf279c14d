// What the subcommands of `once key` share.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "context.h"
#include "once/key.h"

namespace once::tool {

// --tenant and --operation: where a derived key belongs.
struct ScopeOptions {
  std::optional<std::string> tenant;
  std::optional<std::string> operation;

  void add_to(CLI::App& command);
  // `key` there. Errors: as Scope::key().
  [[nodiscard]] Result<Key> place(const Key& key) const;
};

// Prints `key`, in its place, or why there is none.
void print_key(const Result<Key>& key, const ScopeOptions& scope, Context& context);

// Keys from the content of a JSON file: key_content.cc.
void add_key_content(CLI::App& key, Context& context);
void add_key_operation(CLI::App& key, Context& context);

}  // namespace once::tool
