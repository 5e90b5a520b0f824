# opa: [true,false,false,4,true]
package t

result := [net.cidr_contains("10.0.0.0/8", "10.1.2.3"), net.cidr_contains("10.0.0.0/16", "10.0.0.0/8"), net.cidr_is_valid("10.0.0.0/33"), count(net.cidr_expand("10.0.0.0/30")), net.cidr_contains("fc00::/7", "fd00::1")]
