# opa: true
package t

result := net.cidr_contains("::ffff:10.0.0.0/104", "10.1.2.3")
