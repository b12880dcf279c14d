#include "model.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace once::crash {
namespace {

Key parsed(const std::string& key) {
  auto found = Key::parse(key);
  return found ? *found : Key(key);
}

std::string kind_of(const std::string& key) {
  return parsed(key).operation;
}

}  // namespace

void Model::problem(std::string text) {
  problems_.push_back(fmt::format("life {}: {}", life_, text));
}

void Model::take(const Message& message) {
  if (message.kind == "bad") {
    return problem(fmt::format("the worker says of {}: {}", message.key, message.note));
  }
  if (message.kind == "phase") return;
  if (message.kind == "ok") {
    const bool again =
        message.note == "replay" ||
        (message.attempt == 0 && (message.verb == "execute" || message.verb == "transact"));
    ++counts_[message.verb + (again ? " (replayed)" : "")];
    if (message.note == "taken_over") ++counts_["taken over"];
  }
  if (message.kind == "err" && message.note == "in_doubt") ++counts_["found in doubt"];
  const std::string kind = kind_of(message.key);
  if (kind == "hand") take_hand(message);
  if (kind == "pay") take_pay(message);
  if (kind == "move") take_move(message);
  if (kind == "batch") take_batch(message);
  if (kind == "event") take_publish(message);
}

void Model::take_grant(const std::string& key, std::uint64_t token) {
  const auto [at, fresh] = grants_.emplace(token, key);
  if (!fresh) problem(fmt::format("token {} was given to {} and to {}", token, at->second, key));
  if (token <= last_token_) {
    problem(fmt::format("{} got token {} and an earlier life had {}", key, token, last_token_));
  }
}

HandState Model::after(HandState state, const Message& message) const {
  const std::string& verb = message.verb;
  if (verb == "reserve") {
    const bool free = !state.present || state.status == Status::released;
    const bool stale = state.status == Status::in_progress && state.held_in != life_;
    const bool rerun = on_abandon_of(parsed(message.key)) == OnAbandon::rerun;
    if (free || (stale && rerun)) {
      state.attempt = state.present ? state.attempt + 1 : 1;
      state.present = true;
      state.status = Status::in_progress;
      state.token = message.token;
      state.held_in = life_;
    } else if (stale) {
      state.status = Status::in_doubt;
    }
    return state;
  }
  if (verb == "checkpoint") state.checkpoints.insert(message.note);
  if (verb == "complete") state.status = Status::completed;
  if (verb == "fail") state.status = Status::failed;
  if (verb == "release") state.status = Status::released;
  if (verb == "doubt") state.status = Status::in_doubt;
  if (verb == "remove") state = {};
  if (verb == "resolve") {
    state.status = message.note == "success"   ? Status::completed
                   : message.note == "failure" ? Status::failed
                                               : Status::released;
    state.resolved = message.note != "rerun";
    state.token = 0;
  }
  return state;
}

void Model::take_hand(const Message& message) {
  Hand& hand = hands_[message.key];
  if (message.kind == "try") {
    hand.pending = message;
    return;
  }
  const HandState before = hand.sure;
  const bool happened = message.kind == "ok" || message.verb == "reserve";
  const HandState expected = happened ? after(before, message) : before;
  hand.pending.reset();
  hand.sure = expected;
  if (message.verb != "reserve") return;
  const bool finished =
      before.present && (before.status == Status::completed || before.status == Status::failed);
  std::string should;
  if (finished) {
    should = "replay";
  } else if (expected.present && expected.status == Status::in_doubt) {
    should = "in_doubt";
  } else if (before.status == Status::in_progress && before.present) {
    should = before.held_in == life_ ? "busy" : "taken_over";
  } else {
    should = "granted";
  }
  if (should != message.note) {
    problem(fmt::format("reserve of {} was answered {} instead of {}", message.key, message.note,
                        should));
  }
  if (message.kind != "ok") return;
  if (finished && before.token != 0 && before.token != message.token) {
    problem(fmt::format("{} replayed token {} instead of {}", message.key, message.token,
                        before.token));
  }
  if (message.note == "replay") return;
  take_grant(message.key, message.token);
  if (message.attempt != expected.attempt) {
    problem(fmt::format("{} is at attempt {} instead of {}", message.key, message.attempt,
                        expected.attempt));
  }
}

void Model::set_final(const Message& message, Status status, bool resolved) {
  Pay& pay = pays_[message.key];
  const bool differs =
      (pay.final && *pay.final != status) ||
      (pay.final_token != 0 && message.token != 0 && pay.final_token != message.token);
  if (differs) {
    problem(fmt::format("{} was answered {} (token {}) and then {} (token {})", message.key,
                        to_string(*pay.final), pay.final_token, to_string(status), message.token));
  }
  pay.final = status;
  pay.resolved = pay.resolved || resolved;
  if (message.token != 0) pay.final_token = message.token;
}

void Model::take_pay(const Message& message) {
  Pay& pay = pays_[message.key];
  if (message.verb == "granted") {
    take_grant(message.key, message.token);
    if (!pay.granted.empty() && *pay.granted.rbegin() >= message.token) {
      problem(fmt::format("{} got token {} after {}", message.key, message.token,
                          *pay.granted.rbegin()));
    }
    if (pay.final) {
      problem(fmt::format("{} ran again after it had been answered", message.key));
    }
    pay.granted.insert(message.token);
  } else if (message.verb == "execute") {
    if (message.kind == "ok") {
      set_final(message, Status::completed, false);
      if (!pay.final_digest.empty() && pay.final_digest != message.note) {
        problem(fmt::format("{} was answered with different bytes", message.key));
      }
      pay.final_digest = message.note;
    } else if (message.kind == "err" && message.note == "work_failed") {
      set_final(message, Status::failed, false);
    }
  } else if (message.verb == "resolve") {
    if (message.kind == "try" && message.note == "rerun") ++pay.reruns_tried;
    if (message.kind == "ok" && message.note == "success") {
      set_final(message, Status::completed, true);
    }
    if (message.kind == "ok" && message.note == "failure") {
      set_final(message, Status::failed, true);
    }
  }
}

void Model::take_move(const Message& message) {
  Move& move = moves_[message.key];
  if (message.kind == "err") {
    const bool failed = message.note == "work_failed";
    if ((failed && move.token != 0) || (!failed && move.failed)) {
      problem(fmt::format("{} was answered {} after another answer", message.key, message.note));
    }
    move.failed = move.failed || failed;
  }
  if (message.kind != "ok") return;
  const bool differs =
      move.failed ||
      (move.token != 0 && (move.token != message.token || move.digest != message.note));
  if (differs) problem(fmt::format("{} was answered differently before", message.key));
  if (move.token == 0) {
    move.token = message.token;
    move.digest = message.note;
  }
}

void Model::take_batch(const Message& message) {
  Batch& batch = batches_[message.key];
  batch.count = message.attempt;
  if (message.verb == "reserve_many" && message.kind == "ok") {
    std::istringstream tokens(message.note);
    for (std::uint64_t token = 0; tokens >> token;) {
      batch.tokens.push_back(token);
      take_grant(message.key, token);
    }
  }
  if (message.verb == "complete_many") {
    batch.complete_tried = true;
    if (message.kind == "ok") batch.completed = true;
  }
}

void Model::take_publish(const Message& message) {
  std::uint64_t& sequence = events_[message.key];
  if (message.kind != "ok") return;
  sequence = message.token;
  if (sequence <= last_sequence_) {
    problem(fmt::format("{} got sequence {} and an earlier life had {}", message.key, sequence,
                        last_sequence_));
  }
}

}  // namespace once::crash
