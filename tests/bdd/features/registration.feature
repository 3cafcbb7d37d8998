Feature: Registration by more than one path
  The queen keeps one record of a worker, however many tell her of it.

  Scenario: Worker registers with queen-rbee
    Given queen-rbee is running
    When a worker sends ready callback
    Then queen-rbee adds worker to in-memory registry
    And the worker appears in /v1/workers/list

  Scenario: The same worker by the registry, the fast path, the ready callback and its own heartbeats
    Given heartbeats every second
    And the registry is started
    And the queen is started
    When the worker "w1" with the model "echo:once" is started by hand
    And its spawner notifies the queen
    And its spawner notifies the queen
    And its spawner sends the ready callback
    And its spawner registers it with the registry in the short form
    Then the worker "w1" speaks to the queen itself
    And the queen lists the workers "w1"
    And the registry lists the workers "w1"
    And the queen answers a request for "echo:once"
    When the worker "w1" is stopped
    Then the queen lists no workers
    And the registry lists no workers
