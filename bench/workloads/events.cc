#include "workloads/workload.h"

namespace once::bench {

void add_events(std::vector<Workload>&) {}

}  // namespace once::bench
