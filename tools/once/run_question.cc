#include "run_question.h"

#include <map>

#include "base/coding.h"
#include "base/error.h"
#include "once/key.h"
#include "supervise/command_line.h"

namespace once::tool {
namespace {

// Stands among the fields for the command line. No --field can have this name.
constexpr std::string_view command_field = "the command line";

Result<std::map<std::string, std::string>> values_of(const std::vector<std::string>& fields) {
  std::map<std::string, std::string> values;
  for (const std::string& field : fields) {
    const std::size_t equals = field.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::invalid_argument, "--field '{}' is not NAME=VALUE; write {}",
                  escape(field.substr(0, 60)),
                  equals == 0 ? "a name before the '='" : "an '=' between its name and its value");
    }
    std::string name = field.substr(0, equals);
    if (name.size() > max_field_name_bytes) {
      return fail(ErrorCode::limit_exceeded,
                  "the name of a --field has {} bytes, and {} are allowed", name.size(),
                  max_field_name_bytes);
    }
    if (name == command_field) {
      return fail(ErrorCode::invalid_argument,
                  "--field '{}' is the name for the command itself; take another", command_field);
    }
    if (!values.emplace(name, field.substr(equals + 1)).second) {
      return fail(ErrorCode::invalid_argument, "--field '{}' is given twice; name each field once",
                  escape(name));
    }
  }
  return values;
}

}  // namespace

Result<void> ask(const std::vector<std::string>& command, bool any_command,
                 const std::vector<std::string>& fields, ReserveOptions& options) {
  const auto values = values_of(fields);
  if (!values) return std::unexpected(values.error());
  if (any_command && values->empty()) return {};
  Bytes question = supervise::question_of(any_command ? std::vector<std::string>() : command);
  if (values->empty()) {
    options.fingerprint = Fingerprint::of(question);
    return {};
  }
  if (!any_command) options.fields.push_back(FieldDigest::of(command_field, question));
  // By name, each with its length: no two lists of fields give the same bytes, and none gives those
  // of a command alone, which end where its last argument does.
  Writer writer(question);
  for (const auto& [name, value] : *values) {
    writer.string(name);
    writer.string(value);
    options.fields.push_back(FieldDigest::of(name, value));
  }
  options.fingerprint = Fingerprint::of(question);
  if (options.fields.size() <= max_question_fields) return {};
  return fail(ErrorCode::limit_exceeded,
              "{} fields, the command line among them, and a digest of {} is kept at most; join "
              "some of them",
              options.fields.size(), max_question_fields);
}

}  // namespace once::tool
