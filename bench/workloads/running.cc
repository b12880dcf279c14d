#include "workloads/workload.h"

namespace once::bench {

void add_running(std::vector<Workload>&) {}

}  // namespace once::bench
