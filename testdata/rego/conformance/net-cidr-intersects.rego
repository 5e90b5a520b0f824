# opa: true
package t

result := net.cidr_intersects("10.0.0.0/8", "10.1.0.0/16")
