// The stand-in for the driver's graphs: captured ones, built ones, and what is made of them to be launched.

#include "stand_in.h"

#include <memory>

struct Graph;

// Its work, and what it depends on. A child's work is that of all its nodes.
struct Node {
    Graph* graph;
    std::vector<std::function<void()>> work;
    Function* function = nullptr;
    std::vector<Node*> after;
};

struct Graph {
    std::vector<std::unique_ptr<Node>> nodes;
};

struct Executable {
    Graph* graph;
    std::vector<std::vector<std::function<void()>>> work;
};

// CUDA_KERNEL_NODE_PARAMS_v2.
struct KernelParameters {
    Function* function;
    unsigned shape[6];
    unsigned shared;
    void** arguments;
    void** extra;
    void* kernel;
    void* context;
};

// CUDA_MEMSET_NODE_PARAMS.
struct FillParameters {
    uint64_t to;
    size_t pitch;
    unsigned value, element_bytes;
    size_t width, height;
};

namespace {

int graphs_alive = 0, executables_alive = 0, launches_of_graphs = 0;

// Adds a node; all that it depends on must be in the graph.
int add(Node** out, Graph* graph, Node* const* after, size_t count, Node node) {
    for (size_t i = 0; i < count; i++) {
        if (after[i]->graph != graph) return INVALID_VALUE;
        node.after.push_back(after[i]);
    }
    node.graph = graph;
    graph->nodes.push_back(std::make_unique<Node>(std::move(node)));
    return *out = graph->nodes.back().get(), SUCCESS;
}

// Whether the nodes are a chain in the order in which they were added: all that this stand-in can run in the right order.
bool is_chain(const Graph& graph) {
    for (size_t i = 0; i < graph.nodes.size(); i++) {
        const auto& after = graph.nodes[i]->after;
        if (i == 0 ? !after.empty() : after.size() != 1 || after[0] != graph.nodes[i - 1].get()) return false;
    }
    return true;
}

std::function<void()> launch_of(const KernelParameters& given) {
    // The context may be null: the current one.
    if (given.extra || given.kernel || !context_is_current) return nullptr;
    const unsigned(&shape)[6] = given.shape;
    return launch_of(given.function, shape, given.shared, given.arguments);
}

}  // namespace

EXPORT int cuStreamBeginCapture_v2(Stream* stream, int mode) {
    LOCKED;
    if (!context_is_current || !stream) return INVALID_VALUE;
    if (stream->capture) return ILLEGAL_STATE;
    stream->capture = new Capture{{}, std::this_thread::get_id(), mode != 0, false};
    return SUCCESS;
}
EXPORT int cuStreamEndCapture(Stream* stream, Graph** out) {
    LOCKED;
    *out = nullptr;
    if (!stream->capture) return ILLEGAL_STATE;
    if (stream->capture->thread != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
    std::unique_ptr<Capture> capture(stream->capture);
    stream->capture = nullptr;
    if (capture->broken) return CAPTURE_INVALIDATED;
    Graph* graph = new Graph;
    graphs_alive++;
    Node* last = nullptr;
    for (Task& task : capture->tasks) add(&last, graph, &last, last ? 1 : 0, Node{graph, {task.work}});
    return *out = graph, SUCCESS;
}
EXPORT int cuGraphCreate(Graph** out, unsigned flags) {
    LOCKED;
    if (flags != 0) return INVALID_VALUE;
    return graphs_alive++, *out = new Graph, SUCCESS;
}
EXPORT int cuGraphDestroy(Graph* graph) {
    LOCKED;
    return graphs_alive--, delete graph, SUCCESS;
}
EXPORT int cuGraphAddKernelNode_v2(
    Node** out, Graph* graph, Node* const* after, size_t count, const KernelParameters* given
) {
    LOCKED;
    auto launch = launch_of(*given);
    if (!launch) return INVALID_VALUE;
    return add(out, graph, after, count, Node{graph, {launch}, given->function});
}
EXPORT int cuGraphAddMemsetNode(
    Node** out, Graph* graph, Node* const* after, size_t count, const FillParameters* given, void* context
) {
    LOCKED;
    FillParameters fill = *given;
    bool fits = fill.element_bytes == 1 && fill.value <= 255 && fill.height == 1 && fill.width > 0;
    if (!fits || !context || !allocated(fill.to, fill.width)) return INVALID_VALUE;
    return add(out, graph, after, count, Node{graph, {[=] { std::memset((void*)fill.to, fill.value, fill.width); }}});
}
// The child is cloned.
EXPORT int cuGraphAddChildGraphNode(Node** out, Graph* graph, Node* const* after, size_t count, Graph* child) {
    LOCKED;
    if (!is_chain(*child) || child == graph) return INVALID_VALUE;
    Node node{graph, {}};
    for (auto& inner : child->nodes) node.work.insert(node.work.end(), inner->work.begin(), inner->work.end());
    return add(out, graph, after, count, std::move(node));
}
EXPORT int cuGraphInstantiateWithFlags(Executable** out, Graph* graph, unsigned long long flags) {
    LOCKED;
    if (flags != 0 || !is_chain(*graph)) return INVALID_VALUE;
    *out = new Executable{graph, {}};
    for (auto& node : graph->nodes) (*out)->work.push_back(node->work);
    return executables_alive++, SUCCESS;
}
EXPORT int cuGraphExecDestroy(Executable* executable) {
    LOCKED;
    return executables_alive--, delete executable, SUCCESS;
}
// The node is one of the graph that was instantiated; it stays as it is.
EXPORT int cuGraphExecKernelNodeSetParams_v2(Executable* executable, Node* node, const KernelParameters* given) {
    LOCKED;
    auto launch = launch_of(*given);
    auto& nodes = executable->graph->nodes;
    for (size_t i = 0; i < nodes.size() && launch; i++) {
        if (nodes[i].get() == node && node->function) return executable->work[i] = {launch}, SUCCESS;
    }
    return INVALID_VALUE;
}
EXPORT int cuGraphLaunch(Executable* executable, Stream* stream) {
    LOCKED;
    if (!context_is_current || stream->capture) return INVALID_VALUE;
    launches_of_graphs++;
    for (auto& node : executable->work) {
        for (auto& work : node) stream->enqueue({work});
    }
    return SUCCESS;
}

// For tests: what happened so far.
EXPORT int stand_in_graph_launches() { return launches_of_graphs; }
EXPORT int stand_in_graphs_alive() { return graphs_alive + executables_alive; }
