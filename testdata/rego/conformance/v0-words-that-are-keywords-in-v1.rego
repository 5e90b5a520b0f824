# opa: [1,2,3]
package t

if = 1

contains = 2

every = 3

result = [if, contains, every]
