// Building definitions.
#include "once/workflow.h"

#include "base/error.h"
#include "workflow/definition.h"
#include "workflow/loaded_run.h"

namespace once {

Workflow::Workflow(std::string name, const WorkflowOptions& options)
    : impl_(std::make_shared<Impl>(std::move(name), options)) {}

void Workflow::set_steps(Steps steps) {
  impl_->steps = std::move(steps);
}

Workflow& Workflow::add_node(std::string name, std::vector<std::string> after, Work work,
                             const NodeOptions& options) {
  impl_->nodes.push_back({.outline = {.name = std::move(name), .after = std::move(after)},
                          .options = options,
                          .work = std::move(work)});
  return *this;
}

Workflow& Workflow::add_transact(std::string name, std::vector<std::string> after,
                                 TransactWork work, const NodeOptions& options) {
  impl_->nodes.push_back({.outline = {.name = std::move(name),
                                      .kind = workflow::NodeKind::transact,
                                      .after = std::move(after)},
                          .options = options,
                          .transact = std::move(work)});
  return *this;
}

Workflow& Workflow::sleep(std::string name, std::vector<std::string> after, Duration duration) {
  impl_->nodes.push_back({.outline = {.name = std::move(name),
                                      .kind = workflow::NodeKind::sleep,
                                      .after = std::move(after)},
                          .sleep = duration});
  return *this;
}

Workflow& Workflow::result(std::string node) {
  impl_->result = std::move(node);
  return *this;
}

Result<void> Workflow::validate() const {
  return impl_->validate();
}

const std::string& Workflow::name() const {
  return impl_->name;
}

Fingerprint Workflow::definition() const {
  return impl_->outline().definition;
}

Key Workflow::key(std::string_view name, std::string_view id, std::string_view tenant) {
  return {tenant, std::string(workflow::operation_prefix).append(name), id};
}

Store::Impl& Workflow::inside(Store& store) {
  return *store.impl_;
}

}  // namespace once
