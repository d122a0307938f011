"""Reservations as conversations with slots: reserve, reconcile, extend and sweep.

A protocol is a generator without I/O. It yields what is to be said to slots, pauses and,
once, its answer; it is sent back what the slots replied. A store drives it over its links,
tests drive it step by step. docs/decisions/0075 says why the conversations are right.
"""
