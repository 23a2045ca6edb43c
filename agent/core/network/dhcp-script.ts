// SPDX-License-Identifier: Apache-2.0
// What a lease does to an interface.

/**
 * Called by udhcpc with an event as its argument and the lease in its environment, which udhcpc fills with numbers
 * only for the names used here. An address never lasts for ever: one that does is taken for an address of an
 * interface file and removed. Neither the server's router nor its name servers are used: a port with fixed addresses
 * has none (contract 5.4), and the image has no DNS (P64).
 */
export const DHCP_SCRIPT = `#!/bin/sh
# Made by amphora-agent. Usage: dhcp-script deconfig|bound|renew|leasefail|nak
# shellcheck disable=SC2154 # udhcpc sets the variables
longest=2147483647
case $1 in
deconfig)
    ip -4 route flush dev "$interface" proto dhcp
    ip -4 address flush dev "$interface" dynamic
    ;;
bound | renew)
    seconds=\${lease:-3600}
    [ "$seconds" -le "$longest" ] 2> /dev/null || seconds=$longest
    ip -4 address replace "$ip/\${mask:-32}" dev "$interface" \\
        valid_lft "$seconds" preferred_lft "$seconds"
    ip -4 route flush dev "$interface" proto dhcp
    # Pairs of a destination and its next hop; 0.0.0.0 is a destination on the link.
    # shellcheck disable=SC2086 # pairs are words
    set -- $staticroutes
    while [ $# -ge 2 ]; do
        case "$1 $2" in
        0.0.0.0/0\\ *) ;;
        *\\ 0.0.0.0) ip -4 route replace "$1" dev "$interface" scope link proto dhcp ;;
        *) ip -4 route replace "$1" via "$2" dev "$interface" onlink proto dhcp ;;
        esac
        shift 2
    done
    ;;
esac
exit 0
`;
