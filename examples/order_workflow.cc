// An order as a workflow of five nodes, which is killed at any of them and goes on where it was.
//
//   reserve ----+
//               +--> ship ---+
//   charge -----+            +--> mail
//      +-------> points -----+
//
//   order_workflow FOLDER run ORDER [DEATH]   runs the order, or goes on with it; asked again it is
//                                             replayed
//   order_workflow FOLDER resume              goes on with all that was broken off, as a service
//                                             does when it starts
//   order_workflow FOLDER show ORDER          tells how far it has got
//
// With a DEATH of NODE:before the program kills itself when NODE is about to act, with NODE:after
// when it has acted and nothing of that is kept. Try these:
//
//   mkdir shop
//   order_workflow shop run order-1 ship:after
//   once workflow show shop/orders.once order-1   the tree, with what was broken off
//   order_workflow shop resume                    reserve and charge are not called again
//   cat shop/calls.txt                            `ship` was, and recognised by its step key
#include <fcntl.h>
#include <once/once.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace {

using once::Bytes;
using once::NodeContext;
using once::Result;

constexpr std::int64_t points_for_an_order = 10;

int failed(const once::Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

// When to die, for seeing that nothing goes wrong then.
struct Death {
  std::string at{};

  void here(const NodeContext& node, const std::string& when) const {
    if (at == node.name() + ":" + when) std::raise(SIGKILL);
  }
};

// Stands for the warehouse, the bank, the carrier and the post: somebody outside who remembers what
// was asked. The step key is the same for every try of a node of a run, so they can tell that they
// are asked a second time.
class World {
 public:
  World(std::string calls, Death death) : path_(std::move(calls)), death_(std::move(death)) {
    std::ifstream before(path_);
    for (std::string word, step; before >> word >> step;) known_.insert(step);
  }

  // Nodes that do not depend on each other run at the same time, so this is called by many threads.
  Result<Bytes> call(const NodeContext& node, const std::string& what) {
    death_.here(node, "before");
    {
      const std::scoped_lock lock(mutex_);
      const bool first = known_.insert(node.step_key()).second;
      if (!note((first ? "done " : "again ") + node.step_key() + "\n")) {
        return std::unexpected(once::work_retryable("nobody answers about " + what));
      }
    }
    death_.here(node, "after");
    return what + " for " + node.run_id();
  }

 private:
  bool note(const std::string& line) const {
    const int file = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return false;
    const bool written =
        ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    return ::close(file) == 0 && written;
  }

  const std::string path_;
  const Death death_;
  std::mutex mutex_;
  std::set<std::string> known_;
};

// The balance of points, a row in the store itself.
Result<void> add_points(once::Transaction& tx, const NodeContext& node, const Death& death) {
  death.here(node, "before");
  const auto before = tx.get("balance");
  if (!before) return std::unexpected(before.error());
  const std::int64_t sum = (*before ? std::stoll(**before) : 0) + points_for_an_order;
  if (auto put = tx.put("balance", std::to_string(sum)); !put) return put;
  death.here(node, "after");
  return {};
}

once::Workflow order_workflow(World& world, const Death& death) {
  once::Workflow order("order");
  order.node("reserve", {}, [&](NodeContext& node) { return world.call(node, "shelf"); })
      .node("charge", {}, [&](NodeContext& node) { return world.call(node, "receipt"); },
            // Tried again at once when it fails in a way that allows it.
            {.retry = {.attempts = 3}})
      // This node's effect commits together with its checkpoint: it happens once whatever dies,
      // without anybody who would have to recognise a step key.
      .transact(
          "points", {"charge"},
          [death](once::Transaction& tx, NodeContext& node) { return add_points(tx, node, death); })
      .node("ship", {"reserve", "charge"},
            [&](NodeContext& node) -> Result<Bytes> {
              // What a node returned is what later ones see, also when it ran in a process that is
              // long dead.
              const auto shelf = node.input<Bytes>("reserve");
              if (!shelf) return std::unexpected(shelf.error());
              return world.call(node, "parcel from " + *shelf);
            })
      .node("mail", {"ship", "points"}, [&](NodeContext& node) { return world.call(node, "mail"); })
      .result("ship");
  return order;
}

int tell(const once::Key& key, const Result<once::WorkflowRun>& run) {
  if (!run) return failed(run.error());
  const auto parcel = run->as<Bytes>();
  if (!parcel) return failed(parcel.error());
  std::cout << key.id << ": " << *parcel;
  if (run->replayed()) {
    std::cout << ", before\n";
  } else {
    std::cout << ", " << run->executed() << " nodes ran, " << run->skipped() << " were done\n";
  }
  return 0;
}

int resume(once::Store& store, const once::Workflow& order) {
  int code = 0;
  const auto resumed = once::Workflow::resume_all(
      store, {order}, [&](const once::Key& key, const Result<once::WorkflowRun>& run) {
        code |= tell(key, run);
        return true;
      });
  return resumed ? code : failed(resumed.error());
}

int show(once::Store& store, const once::Workflow& order, const std::string& id) {
  const auto state = order.state_of(store, id);
  if (!state) return failed(state.error());
  if (!*state) return failed({.code = once::ErrorCode::not_found, .message = "no order " + id});
  for (const once::NodeState& node : (*state)->nodes) {
    std::cout << node.name << ' ' << to_string(node.status) << '\n';
  }
  const auto points = store.data("balance");
  if (!points) return failed(points.error());
  std::cout << "balance " << points->value_or("0") << '\n';
  return 0;
}

int run(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "";
  const std::string what = argc > 2 ? argv[2] : "";
  const bool right = what == "run" ? argc == 4 || argc == 5 : argc == (what == "show" ? 4 : 3);
  if (!right) {
    std::cerr << "usage: order_workflow FOLDER run ORDER [DEATH] | resume | show ORDER\n";
    return 64;
  }
  auto store = once::Store::open(folder + "/orders.once");
  if (!store) return failed(store.error());
  const Death death{.at = argc == 5 ? argv[4] : ""};
  World world(folder + "/calls.txt", death);
  const once::Workflow order = order_workflow(world, death);
  if (what == "resume") return resume(*store, order);
  const std::string id = argv[3];
  if (what == "show") return show(*store, order, id);
  if (what == "run") return tell(once::Workflow::key(order.name(), id), order.run(*store, id));
  std::cerr << "order_workflow: " << what << " is none of run, resume, show\n";
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
