"""The lab's engine `kube`: a real Kubernetes with Flannel's VXLAN, its nodes in network namespaces of one machine."""
