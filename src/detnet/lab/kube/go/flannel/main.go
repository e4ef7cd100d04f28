// Flannel's own packages with its VXLAN back end. The stock main also links the clouds' back ends, which a lab has no use for.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	uplink := flag.String("iface", "", "interface towards the other nodes")
	settings := flag.String("net-conf", "", "net-conf.json")
	subnetFile := flag.String("subnet-file", "", "file to write the node's subnet and MTU to")
	flag.Parse()
	// The node's own name comes from the environment: NODE_NAME, as in Flannel's DaemonSet.
	if err := run(*kubeconfig, *uplink, *settings, *subnetFile); err != nil {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, uplink, settings, subnetFile string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	subnets, err := kube.NewSubnetManager(ctx, "", kubeconfig, "flannel.alpha.coreos.com", settings, false)
	if err != nil {
		return err
	}
	config, err := subnets.GetNetworkConfig(ctx)
	if err != nil {
		return err
	}
	stack, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return err
	}
	external, err := ipmatch.LookupExtIface(uplink, "", "", stack, ipmatch.PublicIPOpts{})
	if err != nil {
		return err
	}
	chosen, err := backend.NewManager(ctx, subnets, external).GetBackend(config.BackendType)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	network, err := chosen.RegisterNetwork(ctx, &running, config)
	if err != nil {
		return err
	}
	lease := network.Lease()
	if err := subnets.HandleSubnetFile(subnetFile, config, false, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return err
	}
	running.Add(1)
	go func() { defer running.Done(); network.Run(ctx) }()
	err = subnets.CompleteLease(ctx, lease, &running)
	running.Wait()
	return err
}
