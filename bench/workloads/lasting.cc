#include "workloads/workload.h"

namespace once::bench {

void add_lasting(std::vector<Workload>&) {}

}  // namespace once::bench
