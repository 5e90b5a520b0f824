# opa: true
package t

result := net.cidr_expand("10.0.0.0/31") == {"10.0.0.1", "10.0.0.0"}
