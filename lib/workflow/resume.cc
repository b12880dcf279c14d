#include "workflow/resume.h"

#include <map>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "workflow/definition.h"
#include "workflow/loaded_run.h"
#include "workflow/run_access.h"

namespace once::workflow {
namespace {

// By the operation of their keys.
using Definitions = std::map<std::string, const Workflow*>;

Result<Definitions> definitions_of(const std::vector<Workflow>& workflows) {
  Definitions definitions;
  for (const Workflow& workflow : workflows) {
    if (auto valid = workflow.validate(); !valid) return pass(valid);
    definitions[Workflow::key(workflow.name(), "").operation] = &workflow;
  }
  return definitions;
}

void note_unreadable(Resumption& resumption, const Error& error, bool told) {
  if (!resumption.unreadable) resumption.unreadable = error;
  resumption.untold = resumption.untold || !told;
}

// The runs that may have to be gone on with. Reads every record: keys are in the order of their
// tenants first, so that the runs of a workflow do not stand together.
Result<std::vector<Key>> candidates(Store::Impl& store, const Definitions& definitions,
                                    Resumption& resumption) {
  std::vector<Key> found;
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  auto scanned = store.engine->rows({.table = Table::keys}, [&](const Result<Row>& row) {
    if (!row) {
      note_unreadable(resumption, row.error(), false);  // whose it is cannot be told
      return true;
    }
    const auto& [key, record] = std::get<KeyRow>(*row);
    const bool open = record.status == Status::in_progress || record.status == Status::released;
    if (open && definitions.contains(key.operation)) found.push_back(key);
    return true;
  });
  if (!scanned) return pass(scanned);
  return found;
}

// Whether to go on with a run now; notes when its timer will be due if not.
bool is_due(const Key& key, const LoadedRun& run, const RunOptions& options,
            std::optional<Duration> given_back, Resumption& resumption) {
  // Without its input it would be another run: left to whoever has it.
  if (!run.found || run.lacks_input()) return false;
  const Record& record = run.found->record;
  if (record.status == Status::in_progress) return !run.held;
  if (record.status != Status::released) return false;
  if (const auto due = run.sleeping_until()) {
    if (*due <= after(run.now, options.wait_for_timers)) return true;
    resumption.timers.emplace(*due, key);
    return false;
  }
  return given_back && run.now - record.updated_at >= *given_back;
}

// What came of a run that was gone on with, told to its visitor. False: it wants no more.
bool tell(const Key& key, const Result<WorkflowRun>& run, Resumption& resumption,
          const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit) {
  if (run && run->sleeping_until()) resumption.timers.emplace(*run->sleeping_until(), key);
  // Somebody else was faster.
  if (!run && run.error().code == ErrorCode::busy) return true;
  return !visit || visit(key, run);
}

// Goes on with those of `keys` that are due.
Result<Resumption> resume_due(
    Store& store, const Definitions& definitions, const std::vector<Key>& keys,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options, std::optional<Duration> given_back, Resumption resumption) {
  RunOptions resume = options;
  resume.input.reset();
  resume.wait = Duration::zero();
  for (const Key& key : keys) {
    if (options.stop.stop_requested()) break;
    auto loaded = load_run(internal::RunAccess::inside(store), key);
    if (!loaded) {
      if (is_of_store(loaded.error())) return pass(loaded);
      note_unreadable(resumption, loaded.error(), static_cast<bool>(visit));
      if (visit && !visit(key, std::unexpected(loaded.error()))) break;
      continue;
    }
    if (!is_due(key, *loaded, options, given_back, resumption)) continue;
    Result<WorkflowRun> run;
    try {
      run = internal::RunAccess::resume(*definitions.at(key.operation), store, key, resume);
    } catch (...) {
      // The other runs are not to wait for one whose work throws each time.
      if (!resumption.thrown) resumption.thrown = std::current_exception();
      run = fail(ErrorCode::unknown, "the work of run {} threw an exception", key.to_string());
    }
    if (!tell(key, run, resumption, visit)) break;
  }
  return resumption;
}

}  // namespace

Result<void> check_given_back(std::optional<Duration> given_back) {
  if (!given_back || *given_back >= Duration::zero()) return {};
  return fail(ErrorCode::invalid_argument,
              "what was given back {} ms ago is not there yet; give 0 or more for given_back",
              given_back->count());
}

Result<Resumption> resume_all(
    Store& store, const std::vector<Workflow>& workflows,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options, std::optional<Duration> given_back) {
  if (auto checked = check_given_back(given_back); !checked) return pass(checked);
  if (auto checked = check_run(options); !checked) return pass(checked);
  auto definitions = definitions_of(workflows);
  if (!definitions) return pass(definitions);
  Resumption resumption;
  auto found = candidates(internal::RunAccess::inside(store), *definitions, resumption);
  if (!found) return pass(found);
  return resume_due(store, *definitions, *found, visit, options, given_back, std::move(resumption));
}

Result<Resumption> resume_these(
    Store& store, const std::vector<Workflow>& workflows, const std::vector<Key>& keys,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options) {
  auto definitions = definitions_of(workflows);
  if (!definitions) return pass(definitions);
  return resume_due(store, *definitions, keys, visit, options, std::nullopt, {});
}

}  // namespace once::workflow

namespace once {

Result<void> Workflow::resume_all(
    Store& store, const std::vector<Workflow>& workflows,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options, std::optional<Duration> given_back) {
  auto resumed = workflow::resume_all(store, workflows, visit, options, given_back);
  if (!resumed) return pass(resumed);
  if (resumed->thrown) std::rethrow_exception(resumed->thrown);
  if (resumed->untold) return std::unexpected(std::move(*resumed->unreadable));
  return {};
}

}  // namespace once
