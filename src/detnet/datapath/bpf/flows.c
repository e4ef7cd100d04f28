// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// Measures critical flows as they pass, without touching them: arrivals at a pod's cable (tc), and round trips of TCP (sock_ops).
//
//   packet ─► flow asked for? ─► gap since the flow's last packet ─► |gap - period| ─► bucket of its series
//
// Of each flow the period is the mean of its gaps: of all of the first 256, then with a weight of 1/256 for each. For a sender that
// keeps its period T, |gap - T| at the receiver is the |IPDV| of RFC 3393, since gap = T + D(i) - D(i-1). What the same flow shows at the
// sender's own cable is the sender's part of it. After a pause, a gap of more than eight periods and 100 ms, the period is found anew;
// the pause is counted, and gives no sample, nor do the 16 gaps from which a period is found.
//
// Invariants: every packet is let through as it was (TC_ACT_UNSPEC); everything is bounded: flows are forgotten, the longest idle first, and
// packets of a series for which there is no room are counted as such. Fields of __sk_buff and bpf_sock_ops are stable interfaces of the
// kernel, so nothing has to be relocated to the kernel that runs.
//
// Built by `make bpf` into flows.o, which is kept beside it: no compiler is needed to run it.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define BUCKETS 64        // a power of two, so that an index can be masked; the edges of unused ones are never reached
#define STEPS 6           // log2(BUCKETS)
#define PAUSE_PERIODS 8
#define PAUSE_NS 100000000ULL
#define MEAN_OF 256
#define FOUND_OF 16
#define MAX_FLOWS 4096
#define MAX_SERIES 1024
#define MAX_WATCHED 1024
#define AF_INET 2
#define INTO_POD 1
#define OUT_OF_POD 0

char licence_text[] SEC("license") = "Dual Apache/GPL";
// What this object was made from, and by what, for the test that holds the two against each other.
char made_from[] SEC("source") = SOURCE_SHA256;
char made_by[] SEC("compiler") = __clang_version__;

struct bpf_map_def {
    __u32 type, key_size, value_size, max_entries;
};

struct address {
    __u32 word[4]; // IPv4 as ::ffff:a.b.c.d, in the order of the network
};

struct watched {
    __u32 interface; // 0: sockets, wherever they are
    __u16 port;
    __u8 protocol, pad;
};

struct series {
    struct address local, remote; // of the pod, and of its peer
    __u32 interface;
    __u16 port;
    __u8 protocol;
    __u8 into_pod;
    __u8 towards_port; // the packet's destination port is the one asked for
    __u8 pad[3];
};

struct counts {
    __u64 packets, bytes, pauses, samples[BUCKETS];
};

struct flow {
    struct address source, destination;
    __u32 interface;
    __u16 source_port, destination_port;
    __u8 protocol, into_pod, pad[2];
};

struct pace {
    __u64 last_ns, period_ns256, gaps; // the period in 1/256 ns
};

struct edges {
    __u64 ns[BUCKETS];
};

struct lost {
    __u64 no_room;
};

struct bpf_map_def SEC("maps") watched_ports = {BPF_MAP_TYPE_HASH, sizeof(struct watched), 4, MAX_WATCHED};
struct bpf_map_def SEC("maps") bucket_edges = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct edges), 1};
struct bpf_map_def SEC("maps") flow_paces = {BPF_MAP_TYPE_LRU_HASH, sizeof(struct flow), sizeof(struct pace), MAX_FLOWS};
struct bpf_map_def SEC("maps") arrivals = {BPF_MAP_TYPE_PERCPU_HASH, sizeof(struct series), sizeof(struct counts), MAX_SERIES};
struct bpf_map_def SEC("maps") round_trips = {BPF_MAP_TYPE_PERCPU_HASH, sizeof(struct series), sizeof(struct counts), MAX_SERIES};
struct bpf_map_def SEC("maps") not_counted = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct lost), 1};
// A value of that size has no room on a program's stack of 512 bytes.
struct bpf_map_def SEC("maps") empty_counts = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct counts), 1};

// The first bucket whose edge is not below a value. Edges that are not used are at the end, and infinite.
static __always_inline __u32 bucket_of(__u64 value_ns)
{
    __u32 zero = 0, low = 0;
    struct edges *edges = bpf_map_lookup_elem(&bucket_edges, &zero);

    if (!edges)
        return BUCKETS - 1;
#pragma unroll
    for (int step = BUCKETS / 2; step; step /= 2)
        if (edges->ns[(low + step - 1) & (BUCKETS - 1)] < value_ns)
            low += step;
    return low & (BUCKETS - 1);
}

static __always_inline struct counts *counts_of(struct bpf_map_def *map, struct series *series)
{
    struct counts *found = bpf_map_lookup_elem(map, series);
    __u32 zero = 0;

    if (found)
        return found;
    struct counts *empty = bpf_map_lookup_elem(&empty_counts, &zero);
    if (empty)
        bpf_map_update_elem(map, series, empty, BPF_NOEXIST);
    found = bpf_map_lookup_elem(map, series);
    if (!found) {
        struct lost *lost = bpf_map_lookup_elem(&not_counted, &zero);
        if (lost)
            lost->no_room++;
    }
    return found;
}

static __always_inline void ipv4(struct address *to, __be32 from)
{
    to->word[0] = to->word[1] = 0;
    to->word[2] = bpf_htonl(0xffff);
    to->word[3] = from;
}

// Reads addresses and ports; false for what is no UDP or TCP, for fragments, and for what is cut short.
static __always_inline int parse(struct __sk_buff *skb, struct flow *flow)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *ethernet = data;
    struct udphdr *ports; // TCP has its ports at the same place

    if ((void *)(ethernet + 1) > end)
        return 0;
    if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x3fff)))
            return 0;
        ipv4(&flow->source, ip->saddr);
        ipv4(&flow->destination, ip->daddr);
        flow->protocol = ip->protocol;
        ports = (void *)ip + ip->ihl * 4;
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end)
            return 0;
        __builtin_memcpy(&flow->source, &ip->saddr, sizeof flow->source);
        __builtin_memcpy(&flow->destination, &ip->daddr, sizeof flow->destination);
        flow->protocol = ip->nexthdr; // critical flows carry no extension headers
        ports = (void *)(ip + 1);
    } else {
        return 0;
    }
    if ((flow->protocol != IPPROTO_UDP && flow->protocol != IPPROTO_TCP) || (void *)(ports + 1) > end)
        return 0;
    flow->source_port = bpf_ntohs(ports->source);
    flow->destination_port = bpf_ntohs(ports->dest);
    return 1;
}

static __always_inline void count_gap(struct counts *counts, struct flow *flow)
{
    __u64 now_ns = bpf_ktime_get_ns();
    struct pace *pace = bpf_map_lookup_elem(&flow_paces, flow);

    if (!pace) {
        struct pace first = {.last_ns = now_ns};
        bpf_map_update_elem(&flow_paces, flow, &first, BPF_NOEXIST);
        return;
    }
    __u64 gap_ns = now_ns - pace->last_ns, period_ns = pace->period_ns256 / 256;

    pace->last_ns = now_ns;
    if (gap_ns > PAUSE_NS && gap_ns > period_ns * PAUSE_PERIODS) {
        counts->pauses++;
        pace->gaps = 0;
        return;
    }
    if (pace->gaps >= FOUND_OF)
        counts->samples[bucket_of(gap_ns > period_ns ? gap_ns - period_ns : period_ns - gap_ns)]++;
    if (pace->gaps < MEAN_OF)
        pace->gaps++;
    if (gap_ns > period_ns) // unsigned numbers know no other way to go up and down
        pace->period_ns256 += (gap_ns * 256 - pace->period_ns256) / pace->gaps;
    else
        pace->period_ns256 -= (pace->period_ns256 - gap_ns * 256) / pace->gaps;
}

static __always_inline int measure(struct __sk_buff *skb, __u8 into_pod)
{
    struct flow flow = {.into_pod = into_pod};

    if (!parse(skb, &flow))
        return TC_ACT_UNSPEC;
    struct watched watched = {.interface = skb->ifindex, .port = flow.destination_port, .protocol = flow.protocol};
    __u8 towards_port = 1;
    if (!bpf_map_lookup_elem(&watched_ports, &watched)) {
        watched.port = flow.source_port;
        towards_port = 0;
        if (!bpf_map_lookup_elem(&watched_ports, &watched))
            return TC_ACT_UNSPEC;
    }
    flow.interface = skb->ifindex;
    struct series series = {
        .local = into_pod ? flow.destination : flow.source,
        .remote = into_pod ? flow.source : flow.destination,
        .interface = skb->ifindex,
        .port = watched.port,
        .protocol = flow.protocol,
        .into_pod = into_pod,
        .towards_port = towards_port,
    };
    struct counts *counts = counts_of(&arrivals, &series);
    if (!counts)
        return TC_ACT_UNSPEC;
    __u32 segments = skb->gso_segs;
    counts->packets += segments ? segments : 1;
    counts->bytes += skb->len;
    if (flow.protocol == IPPROTO_UDP) // the gaps of TCP are the congestion control's, not the sender's
        count_gap(counts, &flow);
    return TC_ACT_UNSPEC;
}

// The host's end of a pod's cable: what comes in there has left the pod.
SEC("tc/out_of_pod")
int out_of_pod(struct __sk_buff *skb)
{
    return measure(skb, OUT_OF_POD);
}

SEC("tc/into_pod")
int into_pod(struct __sk_buff *skb)
{
    return measure(skb, INTO_POD);
}

static __always_inline void addresses(struct series *series, struct bpf_sock_ops *socket)
{
    // read on every way: else the compiler reads either kind by one computed pointer, which the verifier refuses
    ipv4(&series->local, socket->local_ip4);
    ipv4(&series->remote, socket->remote_ip4);
    if (socket->family == AF_INET)
        return;
    series->local.word[0] = socket->local_ip6[0];
    series->local.word[1] = socket->local_ip6[1];
    series->local.word[2] = socket->local_ip6[2];
    series->local.word[3] = socket->local_ip6[3];
    series->remote.word[0] = socket->remote_ip6[0];
    series->remote.word[1] = socket->remote_ip6[1];
    series->remote.word[2] = socket->remote_ip6[2];
    series->remote.word[3] = socket->remote_ip6[3];
}

SEC("sockops")
int tcp_round_trips(struct bpf_sock_ops *socket)
{
    struct series series = {.protocol = IPPROTO_TCP, .towards_port = 1};
    __u32 op = socket->op;

    if (op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_RTT_CB)
        return 1;
    struct watched watched = {.port = bpf_ntohl(socket->remote_port), .protocol = IPPROTO_TCP};
    if (!bpf_map_lookup_elem(&watched_ports, &watched)) {
        watched.port = socket->local_port;
        series.towards_port = 0;
        if (!bpf_map_lookup_elem(&watched_ports, &watched))
            return 1;
    }
    if (op != BPF_SOCK_OPS_RTT_CB) {
        bpf_sock_ops_cb_flags_set(socket, socket->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
        return 1;
    }
    series.port = watched.port;
    addresses(&series, socket);
    struct counts *counts = counts_of(&round_trips, &series);
    if (!counts)
        return 1;
    counts->packets++;
    // Since Linux 6.10 the sample itself is told; before that only the smoothed figure (in 1/8 us) is there.
    __u64 rtt_us = socket->args[0] ? socket->args[0] : socket->srtt_us >> 3;
    counts->samples[bucket_of(rtt_us * 1000)]++;
    return 1;
}
