#include "support/store_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "model/numbers.h"
#include "support/store_difference.h"
#include "support/store_rules.h"

namespace once::testing {

Expected StoreModel::ask(const Request& request, Time now, const Reply& heard) const {
  Rules rules(live(), now, self_, lives_);
  Expected expected;
  using Kind = Request::Kind;
  switch (request.kind) {
    case Kind::reserve:
      expected.reply = rules.reserve(request, heard.token);
      break;
    case Kind::complete:
      expected.reply = rules.complete(request);
      break;
    case Kind::renew:
      expected.reply = rules.renew(request);
      break;
    case Kind::release:
      expected.reply = rules.release(request.key, request.token);
      break;
    case Kind::doubt:
      expected.reply = rules.doubt(request.key, request.token);
      break;
    case Kind::resolve:
      expected.reply = rules.resolve(request);
      break;
    case Kind::remove:
      expected.reply = rules.remove(request.key);
      break;
    case Kind::save_checkpoint:
      expected.reply = rules.save_checkpoint(request);
      break;
    case Kind::execute:
      expected.reply = rules.execute(request, heard.token);
      break;
    case Kind::transact:
      expected.reply = rules.transact(request, heard.token);
      break;
    case Kind::publish:
      expected.reply = rules.publish(request, heard.sequence);
      break;
    case Kind::reserve_many:
      for (std::size_t i = 0; i < request.many.size(); ++i) {
        const Token fresh = i < heard.many.size() ? heard.many[i].token : Token{};
        expected.reply.many.push_back(rules.reserve(request.many[i], fresh));
      }
      break;
    case Kind::complete_many:
      for (const Request& one : request.many) {
        expected.reply.many.push_back(rules.complete(one));
      }
      break;
    case Kind::find:
      expected.reply = rules.find(request.key);
      break;
    case Kind::load_checkpoints:
      expected.reply = rules.load_checkpoints(request.key);
      break;
    case Kind::sweep:
    case Kind::compact:
      break;
  }
  rules.commit();
  expected.commits = std::move(rules).commits();
  return expected;
}

// ---- What the store said ------------------------------------------------------------------------

namespace {

std::string difference_of_replies(const Reply& should, const Reply& is) {
  if (should.error != is.error) return "the answer";
  if (should.many.size() != is.many.size()) return "how many answers there are";
  for (std::size_t i = 0; i < should.many.size(); ++i) {
    // A replay in a batch is read afterwards, which may fail by itself.
    const bool unread = is.many[i].error && is_of_the_disk(*is.many[i].error);
    if (unread && should.many[i].replayed) continue;
    const std::string in_one = difference_of_replies(should.many[i], is.many[i]);
    if (!in_one.empty()) return fmt::format("{} in answer {}", in_one, i);
  }
  if (should.replayed != is.replayed) return "whether it was a replay";
  if (is.error) return "";
  if (should.token.value != 0 && should.token != is.token) return "the token";
  if (should.attempt != is.attempt) return "the attempt";
  if (should.lease_until != is.lease_until) return "the lease";
  if (should.taken_over != is.taken_over) return "whether it was taken over";
  if (should.outcome != is.outcome) return "the outcome";
  if (should.yes != is.yes) return "whether there was something";
  if (should.read != is.read) return "what was read";
  if (should.record && is.record) {
    const std::string in_record = difference_of(*should.record, *is.record);
    if (!in_record.empty()) return in_record;
  }
  if (should.checkpoints.size() != is.checkpoints.size()) return "the number of checkpoints";
  for (const Checkpoint& checkpoint : should.checkpoints) {
    const auto at = std::ranges::find(is.checkpoints, checkpoint.name, &Checkpoint::name);
    if (at == is.checkpoints.end() || !difference_of(checkpoint, *at).empty()) {
      return "checkpoint " + checkpoint.name;
    }
  }
  return "";
}

}  // namespace

std::string StoreModel::heard_token(std::uint64_t token) {
  if (token == 0) return "";
  if (!tokens_.empty() && token <= *tokens_.rbegin()) {
    return fmt::format("token {} was given after {}", token, *tokens_.rbegin());
  }
  tokens_.insert(token);
  return "";
}

void StoreModel::may_also(const std::vector<StoreState>& commits) {
  for (const StoreState& state : commits) states_.push_back(state);
}

std::string StoreModel::settle(const Request& request, const Expected& expected,
                               const Reply& heard) {
  const auto says = [&](const std::string& what) {
    return fmt::format("{}: {} ({} instead of {})", request.describe(), what, heard.describe(),
                       expected.reply.describe());
  };
  const bool failed = heard.error && is_of_the_disk(*heard.error);
  std::size_t made = expected.commits.size();
  if (failed) {
    // The reservation of an execute() was answered before the work ran.
    made = request.kind == Request::Kind::execute && heard.worked ? 1 : 0;
    if (made > expected.commits.size()) return says("the work ran and should not have");
  } else {
    const std::string differs = difference_of_replies(expected.reply, heard);
    if (!differs.empty()) return says("differs in " + differs);
  }
  if (made > 0 && poisoned_) return says("something was acknowledged after a failure");
  for (std::size_t i = 0; i < made; ++i) states_.push_back(expected.commits[i]);
  if (made > 0) {
    live_ = states_.size() - 1;
    if (request.durability == Durability::synced || request.kind == Request::Kind::resolve ||
        request.kind == Request::Kind::remove) {
      states_.erase(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(live_));
      first_ += live_;
      live_ = 0;
    }
  }
  if (failed) {
    const bool wrote = made < expected.commits.size();
    if (*heard.error == ErrorCode::unknown) {
      if (wrote) states_.push_back(expected.commits[made]);
      poisoned_ = true;
    }
    if (*heard.error == ErrorCode::poisoned) poisoned_ = true;
  }
  std::string problem;
  const bool grants = request.kind == Request::Kind::reserve ||
                      request.kind == Request::Kind::execute ||
                      request.kind == Request::Kind::transact;
  if (grants && !heard.replayed) problem = heard_token(heard.token.value);
  if (request.kind == Request::Kind::reserve_many) {
    for (const Reply& one : heard.many) {
      if (problem.empty() && !one.error && !one.replayed) problem = heard_token(one.token.value);
    }
  }
  return problem.empty() ? problem : says(problem);
}

std::string StoreModel::check_numbers(const StoreRows& rows) {
  // Opened once more than ever before, and nothing that is there is of this opening.
  if (rows.store.opening <= opening_) {
    return fmt::format("it is opening {} after {}", rows.store.opening, opening_);
  }
  opening_ = rows.store.opening;
  for (const auto& [key, record] : rows.records) {
    if (model::opening_of(record.token.value) >= opening_) {
      return fmt::format("key {} has token {} in opening {}", key.to_string(), record.token.value,
                         opening_);
    }
    const bool heard = tokens_.contains(record.token.value);
    if (heard) continue;
    // One that nobody was told of counts as given, too.
    tokens_.insert(record.token.value);
  }
  for (const Event& event : rows.events) {
    if (model::opening_of(event.sequence) >= opening_) return "an event is of this opening";
  }
  return "";
}

std::string StoreModel::differs_from_all(const StoreRows& rows, Time now) const {
  std::string differs;
  for (const StoreState& state : states_) {
    differs = state.difference(rows, now, history_retention_);
    if (differs.empty()) break;
  }
  return differs;
}

std::string StoreModel::reopen(const StoreRows& rows, Time now, Ending ending) {
  const std::size_t first = ending == Ending::power_cut ? 0 : live_;
  std::string nearest;
  for (std::size_t i = states_.size(); i-- > first;) {
    const std::string differs = states_[i].difference(rows, now, history_retention_);
    if (!differs.empty()) {
      if (i == live_ || nearest.empty()) nearest = fmt::format("{}", differs);
      continue;
    }
    StoreState found = std::move(states_[i]);
    found.learn(rows, now, history_retention_);
    states_.clear();
    states_.push_back(std::move(found));
    first_ += i;
    live_ = 0;
    poisoned_ = false;
    return check_numbers(rows);
  }
  return fmt::format("what was found is none of the {} states that may be (compared with {}: {})",
                     states_.size() - first, "what was acknowledged last", nearest);
}

}  // namespace once::testing
