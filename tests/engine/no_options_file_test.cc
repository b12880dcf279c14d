// No file of options comes about, and those from before go; nothing depends on them.
#include "engine/embedded/no_options_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "container/container.h"
#include "container/file_system.h"
#include "engine/embedded/embedded_engine.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/simulated_device.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;

namespace {

bool has_options_file(const std::vector<std::string>& names) {
  return std::ranges::any_of(
      names, [](const std::string& name) { return name.find("OPTIONS") != std::string::npos; });
}

// A store on a device.
struct OnDevice {
  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();

  void open_and_close(bool read_only) const {
    const Options options{.read_only = read_only};
    auto engine = value_of(EmbeddedEngine::open(
        make_file_place("simulated.once", {.options = options, .device = device}), options));
    value_of(engine->close_database());
  }
  [[nodiscard]] std::unique_ptr<container::Container> container(bool read_only) const {
    return value_of(container::Container::open(device, std::make_shared<container::NoPins>(),
                                               {.read_only = read_only}));
  }
  [[nodiscard]] std::vector<std::string> names() const {
    return container(true)->children("/once").value();
  }
};

}  // namespace

TEST_CASE("no options file in one file, and one that is there goes") {
  const OnDevice store;
  store.open_and_close(false);
  store.open_and_close(false);
  REQUIRE(store.names().size() > 3);
  CHECK_FALSE(has_options_file(store.names()));
  {
    // As RocksDB left them.
    const auto container = store.container(false);
    for (const char* name : {"/once/OPTIONS-000003", "/once/OPTIONS-000007"}) {
      const auto file = value_of(container->create(name));
      value_of(container->append(*file, "[Version]"));
      value_of(container->sync(*file));
    }
    value_of(container->close());
  }
  store.open_and_close(true);
  CHECK(has_options_file(store.names()));
  store.open_and_close(false);
  CHECK_FALSE(has_options_file(store.names()));
}

TEST_CASE("no options file in a directory, and one that is there goes") {
  const TemporaryDirectory directory(quick_place());
  const std::string path = directory.file("store");
  const auto open_and_close = [&] {
    auto engine = value_of(EmbeddedEngine::open(path, {.options = {.layout = Layout::directory}}));
    value_of(engine->close_database());
  };
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& [name, content] : files_of(path)) all.push_back(name);
    return all;
  };
  open_and_close();
  CHECK_FALSE(has_options_file(names()));
  write_file(path + "/OPTIONS-000007", "[Version]");
  open_and_close();
  CHECK(names().size() > 3);
  CHECK_FALSE(has_options_file(names()));
}
