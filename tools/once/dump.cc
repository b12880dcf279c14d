// once dump: everything in a store, in the order of its keys, row by row.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"
#include "row_text.h"

namespace once::tool {
namespace {

enum class Format { table, json, jsonl };

struct Arguments {
  std::string store;
  std::string table = "all";
  std::string format;
  std::string damaged_log = "refuse";
};

Result<Format> parse_format(const Arguments& arguments, bool json, bool terminal) {
  if (arguments.format == "jsonl") return Format::jsonl;
  if (arguments.format == "json") return Format::json;
  if (arguments.format == "table" && !json) return Format::table;
  if (arguments.format == "table") {
    return fail(ErrorCode::invalid_argument, "--json and --format table exclude each other");
  }
  if (!arguments.format.empty()) {
    return fail(ErrorCode::invalid_argument, "'{}' is no format; there are table, json and jsonl",
                arguments.format);
  }
  if (json) return Format::json;
  return terminal ? Format::table : Format::jsonl;
}

Result<DamagedLog> parse_damaged_log(std::string_view text) {
  if (text == "refuse") return DamagedLog::refuse;
  if (text == "keep-prefix") return DamagedLog::keep_prefix;
  return fail(ErrorCode::invalid_argument,
              "--damaged-log '{}' is not known; there are refuse and keep-prefix", text);
}

// One row in `format`; `count` rows came before it.
bool print_row(Output& out, const Row& row, Format format, std::uint64_t count) {
  switch (format) {
    case Format::table:
      return out.line(row_text(out, row));
    case Format::json:
      return out.write(count == 0 ? "[\n" : ",\n") && out.write(to_line(to_json(row)));
    case Format::jsonl:
      return out.line(to_line(to_json(row)));
  }
  return false;
}

void print_end(Output& out, Format format, std::uint64_t count) {
  if (format == Format::json) out.write(count == 0 ? "[]\n" : "\n]\n");
  if (format == Format::jsonl) out.line(to_line(to_json(DumpEnd{.rows = count})));
}

void dump(const Arguments& arguments, Context& context) {
  Output out;
  const auto table = parse_table(arguments.table);
  if (!table) return context.fail(table.error());
  const auto format = parse_format(arguments, context.json, out.terminal());
  if (!format) return context.fail(format.error());
  const auto damaged_log = parse_damaged_log(arguments.damaged_log);
  if (!damaged_log) return context.fail(damaged_log.error());
  auto store = open_to_read(arguments.store, "dumping", {.damaged_log = *damaged_log});
  if (!store) return context.fail(store.error());
  std::uint64_t count = 0;
  bool whole = true;  // nothing that was to be printed was left out
  const auto done = store->rows(*table, [&](const Row& row) {
    store->bar().tell(count, 0, "rows");
    whole = print_row(out, row, *format, count++);
    return whole;
  });
  // After an error the array stays open and the last line is missing, so that half a dump does not
  // pass for a whole one.
  if (done && whole) print_end(out, *format, count);
  out.finish(context);
  if (!done) context.fail(done.error());
}

}  // namespace

void add_dump(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "dump", "Print everything, row by row",
                              "once dump payments.once --format jsonl > payments.jsonl");
  add_store_argument(*command, arguments->store);
  command
      ->add_option("--table", arguments->table,
                   "Only this: keys, results, checkpoints, outbox, history, data (or all)")
      ->type_name("TABLE");
  command
      ->add_option("--format", arguments->format,
                   "table (on a terminal), json (one array) or\n"
                   "jsonl (one row a line and an end, what load takes)")
      ->type_name("FORMAT");
  command
      ->add_option("--damaged-log", arguments->damaged_log,
                   "refuse, or keep-prefix: print what stands before the damage")
      ->type_name("HOW");
  command->callback([arguments, &context] { dump(*arguments, context); });
}

}  // namespace once::tool
