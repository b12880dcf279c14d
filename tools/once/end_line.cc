#include "end_line.h"

#include <unistd.h>

#include "writing.h"

namespace once::tool {
namespace {

Json known(Time time) {
  return time == Time{} ? Json(nullptr) : Json(time.time_since_epoch().count());
}

}  // namespace

Json run_end_json(const End& end) {
  const Provenance of = end.provenance.value_or(Provenance{});
  const auto got = [&](const auto& value) { return end.provenance ? Json(value) : Json(nullptr); };
  return {{"key", end.key},
          {"status", end.status},
          {"kind", end.kind ? Json(to_string(*end.kind)) : Json(nullptr)},
          {"replayed", of.replayed},
          {"attempt", got(of.attempt)},
          {"token", got(of.token.value)},
          {"execution_id", got(of.execution_id())},
          {"created_at", known(of.created_at)},
          {"updated_at", known(of.finished_at)},
          {"expires_at", known(of.expires_at)},
          {"time_to_live", of.expires_at == Time{} ? Json(nullptr) : Json(of.time_to_live.count())},
          {"exit_code", end.exit_code}};
}

Json lock_end_json(const End& end) {
  return {{"key", end.key},
          {"status", end.status},
          {"attempt", end.provenance ? Json(end.provenance->attempt) : Json(nullptr)},
          {"token", end.provenance ? Json(end.provenance->token.value) : Json(nullptr)},
          {"exit_code", end.exit_code}};
}

void report_not_begun(bool is_run, const Json& key, std::string_view status, int exit_code) {
  const End end{.key = key, .status = std::string(status), .exit_code = exit_code};
  const Json line = is_run ? run_end_json(end) : lock_end_json(end);
  (void)write_all(STDERR_FILENO, line.dump() + "\n");
}

}  // namespace once::tool
